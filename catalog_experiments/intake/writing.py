"""How a batch reaches the database: in chunks, and item by item when the database refuses one of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol, TypeVar

from django.db import DataError, IntegrityError, connection, transaction

from catalog_experiments.intake.steps import NOTHING, Work, finish

Row = TypeVar("Row")


class _Readable(Protocol):
    def reading(self) -> Work: ...


Batch = TypeVar("Batch", bound=_Readable)


def chunks(items: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    """Yield the items in pieces of at most `size`, in their order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def batches(events: Sequence[Row], size: int, begin: Callable[[int, Sequence[Row]], Batch]) -> Iterator[Batch]:
    """Yield what `begin` makes of the place of the first event and of at most `size` events, one batch at a time.

    Of several the first is short, so that the database soon has something to do.
    """
    start = 0
    while start < len(events):
        end = start + (size if start or len(events) <= size else size // 5)
        yield begin(start, events[start:end])
        start = end


def read_in_turn(batches: Iterable[Batch]) -> Iterator[tuple[Batch, Work]]:
    """Yield each batch once it is read whole, with the reading of the next one, for while the database works."""
    waiting = iter(batches)
    batch = next(waiting, None)
    reading: Work = batch.reading() if batch else NOTHING
    while batch:
        finish(reading)
        following = next(waiting, None)
        reading = following.reading() if following else NOTHING
        yield batch, reading
        batch = following


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keep Python's collector of cycles off a batch: it makes many objects and no cycle, and walking them takes long.

    Other threads of the process go without it for that long as well.
    """
    was_at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_at_work:
            gc.enable()


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
