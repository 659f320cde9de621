"""Disjoint batches of new outcomes, for the compatible pause rule `persistent`.

Batches are cut from whole UTC hours in order: an hour joins the open batch, and a batch closes with the hour in which
it reaches its size. Only hours that are over count, so a closed batch no longer grows with live traffic; a late
addition or a cancellation may still move a boundary, one more reason why this rule stands outside every stated error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from catalog_experiments.stats.blocks import HOUR, HourTally

SMALLEST_BATCH = 50

Batch = tuple[int, int]
"""Outcomes and acceptances of one batch."""


def batch_size(minimum_sample: int) -> int:
    """Return how many new outcomes a batch holds at least: a fifth of the minimum sample, 50 or more.

    >>> batch_size(0), batch_size(250), batch_size(1001)
    (50, 50, 201)
    """
    return max(SMALLEST_BATCH, -(-minimum_sample // 5))


def closed_batches(tallies: Iterable[HourTally], minimum_sample: int, now: datetime) -> tuple[Batch, ...]:
    """Return the closed batches of one variant, oldest first; `now` is aware and in UTC."""
    size, batches = batch_size(minimum_sample), list[Batch]()
    open_n, open_accepted = 0, 0
    for hour_at, n, accepted in sorted(tallies):
        if hour_at + HOUR > now:
            break
        open_n, open_accepted = open_n + n, open_accepted + accepted
        if open_n >= size:
            batches.append((open_n, open_accepted))
            open_n, open_accepted = 0, 0
    return tuple(batches)


def is_persistently_outside(batches: Sequence[Batch], threshold: float, is_maximum: bool) -> bool:
    """Say whether every one of the batches misses the bound on its own; False without batches.

    >>> is_persistently_outside([(50, 4), (60, 5)], 0.1, False), is_persistently_outside([(50, 5)], 0.1, False)
    (True, False)
    """
    rates = [accepted / n for n, accepted in batches]
    return bool(rates) and all(rate > threshold if is_maximum else rate < threshold for rate in rates)
