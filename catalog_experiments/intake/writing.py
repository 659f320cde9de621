"""How a batch reaches the database: in chunks, and item by item when the database refuses one of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

from django.db import DataError, IntegrityError, connection, transaction

Row = TypeVar("Row")
Read = TypeVar("Read")


def chunks(items: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """Yield the items in pieces of at most `size`, in their order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def read_ahead(pieces: Sequence[Sequence[Row]], read: Callable[[int, Sequence[Row]], Read]) -> Iterator[Read]:
    """Yield what is read of each piece, in their order; while one is stored, a thread reads the next.

    `read` is given the piece's place and the piece, and must not touch the database.
    """
    if len(pieces) == 1:
        yield read(0, pieces[0])
        return
    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = deque[Future[Read]]()
        for place, piece in enumerate(pieces):
            ahead.append(reader.submit(read, place, piece))
            if place:
                yield ahead.popleft().result()
        if ahead:
            yield ahead.popleft().result()


def write_surviving(
    rows: Sequence[Row],
    write: Callable[[Sequence[Row]], None],
    refuse: Callable[[Row], None],
    *,
    is_one_statement: bool = False,
) -> None:
    """Write rows in one transaction; when the database refuses their content, halve until only the culprit is refused.

    Validation should leave nothing to refuse: this is the promise that one item never sinks the others. A `write` of
    one statement needs no transaction around it, outside of any other: that spares two ways to the database.
    """
    if not rows:
        return
    try:
        with nullcontext() if is_one_statement and connection.get_autocommit() else transaction.atomic():
            write(rows)
    except (DataError, IntegrityError):
        if len(rows) == 1:
            refuse(rows[0])
            return
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]):
            write_surviving(half, write, refuse, is_one_statement=is_one_statement)
