"""How a batch reaches the database: in chunks, and item by item when the database refuses one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from django.db import DataError, IntegrityError, transaction

Row = TypeVar("Row")


def chunks(items: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """Yield the items in pieces of at most `size`, in their order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def write_surviving(rows: Sequence[Row], write: Callable[[Sequence[Row]], None], refuse: Callable[[Row], None]) -> None:
    """Write rows in one transaction; when the database refuses their content, halve until only the culprit is refused.

    Validation should leave nothing to refuse: this is the promise that one item never sinks the others.
    """
    if not rows:
        return
    try:
        with transaction.atomic():
            write(rows)
    except (DataError, IntegrityError):
        if len(rows) == 1:
            refuse(rows[0])
            return
        middle = len(rows) // 2
        write_surviving(rows[:middle], write, refuse)
        write_surviving(rows[middle:], write, refuse)
