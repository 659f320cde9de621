"""Work in small steps, so that it goes on while the database is busy with what it was sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Iterator[None]
"""Steps of no more than a millisecond or two: in the middle of one nobody sees that the database waits."""

NOTHING: Work = iter(())

Steps = Generator[None, None, Result]
"""Such work, and what it leads to."""


def one_by_one(items: Iterable[Item]) -> Steps[list[Item]]:
    """Make one of the items at each step."""
    made = []
    for item in items:
        made.append(item)
        yield
    return made


def finish(work: Work) -> None:
    """Do all steps that are left."""
    deque(work, maxlen=0)


def outcome(steps: Steps[Result]) -> Result:
    """Do all steps and return what they lead to.

    >>> outcome(one_by_one(range(3)))
    [0, 1, 2]
    """
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("Result", end.value)
