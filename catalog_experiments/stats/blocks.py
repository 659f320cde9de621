"""Time blocks of a phase: when each opens, and the counts from its opening until now.

Openings are fixed by the phase's start alone, never by the data: that is what makes a mixture over blocks an e-process
(see `sequential`). Hour block k opens at the k-th UTC hour boundary strictly after the start, day block k at every 24th
of these. A block never closes; it runs until now.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal, NamedTuple

HOUR = timedelta(hours=1)
HOURS_PER_DAY = 24
KEPT_HOURS = 48
"""Hour blocks that opened more than this many hours ago are dropped; their term counts 0."""

START_WEIGHT = 0.8
DAY_WEIGHT = 0.1
HOUR_WEIGHT = 0.1

BlockKind = Literal["start", "day", "hour"]


class HourTally(NamedTuple):
    """Outcomes of one UTC hour: how many, and how many of them accepted. `hour_at` is the hour's start."""

    hour_at: datetime
    n: int
    accepted: int


class Block(NamedTuple):
    """Counts from one opening until now, and the block's share of the mixture (in (0, 1))."""

    kind: BlockKind
    number: int
    n: int
    accepted: int
    weight: float


@dataclass(frozen=True, slots=True)
class BlockClock:
    """The openings of a phase as seen at a moment: both times aware and in UTC."""

    opened_at: datetime
    now: datetime

    @property
    def first_boundary_at(self) -> datetime:
        """First UTC hour boundary strictly after the phase's start: hour block 1 opens here."""
        return self.opened_at.replace(minute=0, second=0, microsecond=0) + HOUR

    @property
    def hour_count(self) -> int:
        """Hour blocks opened so far.

        >>> from datetime import UTC
        >>> BlockClock(datetime(2025, 3, 1, 9, 30, tzinfo=UTC), datetime(2025, 3, 2, 9, tzinfo=UTC)).hour_count
        24
        """
        return max(0, (self.now - self.first_boundary_at) // HOUR + 1)

    @property
    def day_count(self) -> int:
        """Day blocks opened so far."""
        return self.hour_count // HOURS_PER_DAY

    @property
    def first_kept_hour(self) -> int:
        """Index of the oldest hour block that opened at most 48 hours ago; 1 while all did."""
        oldest = self.now - KEPT_HOURS * HOUR - self.first_boundary_at
        return max(1, -(-oldest // HOUR) + 1)

    def opened_at_of(self, kind: BlockKind, number: int) -> datetime:
        """Return when a block opened; the phase's start for kind `start`."""
        if kind == "start":
            return self.opened_at
        boundary = number * HOURS_PER_DAY if kind == "day" else number
        return self.first_boundary_at + (boundary - 1) * HOUR


@dataclass(frozen=True, slots=True)
class BlockSeries:
    """All blocks that carry evidence: the start first, then days, then hours, each in order of opening.

    `constant` is the weight that sits on blocks not opened yet; it contributes exactly itself.
    """

    blocks: tuple[Block, ...]
    constant: float

    @property
    def start(self) -> Block:
        """Counts since the phase began."""
        return self.blocks[0]

    def mirrored(self) -> BlockSeries:
        """Return the same blocks with acceptances and refusals swapped: a maximum becomes a minimum."""
        return BlockSeries(
            tuple(block._replace(accepted=block.n - block.accepted) for block in self.blocks), self.constant
        )

    def same_span(self, block: Block) -> Block:
        """Return this series' block with the opening of another variant's block; the clocks must be equal."""
        return next(own for own in self.blocks if own.kind == block.kind and own.number == block.number)


def block_series(clock: BlockClock, tallies: Iterable[HourTally]) -> BlockSeries:
    """Return the blocks of one variant from its hourly counts, in any order.

    An outcome stamped after now (a skewed clock) counts in every block that is open.

    >>> from datetime import UTC
    >>> clock = BlockClock(datetime(2025, 3, 1, 9, 30, tzinfo=UTC), datetime(2025, 3, 1, 11, 5, tzinfo=UTC))
    >>> tallies = [HourTally(datetime(2025, 3, 1, hour, tzinfo=UTC), 10, hour - 9) for hour in (9, 10, 11)]
    >>> [(block.kind, block.number, block.n, block.accepted) for block in block_series(clock, tallies).blocks]
    [('start', 0, 30, 3), ('hour', 1, 20, 3), ('hour', 2, 10, 2)]
    """
    hour_count, first_boundary = clock.hour_count, clock.first_boundary_at
    newest_first = sorted(tallies, reverse=True)
    ages = [
        hour_count - min(hour_count, max(0, (hour_at - first_boundary) // HOUR + 1)) for hour_at, _, _ in newest_first
    ]
    sums = list(accumulate((n for _, n, _ in newest_first), initial=0))
    accepted_sums = list(accumulate((accepted for _, _, accepted in newest_first), initial=0))

    def opened(kind: BlockKind, number: int, boundary: int, weight: float) -> Block:
        # Everything at most as old as the opening belongs to the block.
        counted = bisect_left(ages, hour_count - boundary + 1)
        return Block(kind, number, sums[counted], accepted_sums[counted], weight / (number * (number + 1)))

    days = [opened("day", k, k * HOURS_PER_DAY, DAY_WEIGHT) for k in range(1, clock.day_count + 1)]
    hours = [opened("hour", k, k, HOUR_WEIGHT) for k in range(clock.first_kept_hour, hour_count + 1)]
    start = Block("start", 0, sums[-1], accepted_sums[-1], START_WEIGHT)
    constant = DAY_WEIGHT / (clock.day_count + 1) + HOUR_WEIGHT / (hour_count + 1)
    return BlockSeries((start, *days, *hours), constant)


def merge_old_hours(clock: BlockClock, tallies: Iterable[HourTally]) -> tuple[HourTally, ...]:
    """Return the same counts with hours older than 48 merged into the phase's own 24-hour days, oldest first.

    `block_series` of the result equals that of the raw hours, at a fraction of the rows.
    """
    first_boundary, first_kept = clock.first_boundary_at, clock.first_kept_hour
    merged: dict[datetime, tuple[int, int]] = {}
    for hour_at, n, accepted in sorted(tallies):
        day = max(0, (hour_at - first_boundary) // HOUR + 1) // HOURS_PER_DAY
        # A day may be merged once its newest hour feeds no kept hour block any more.
        is_kept = (day + 1) * HOURS_PER_DAY > first_kept
        key = hour_at if is_kept else first_boundary + (day * HOURS_PER_DAY - 1) * HOUR
        before_n, before_accepted = merged.get(key, (0, 0))
        merged[key] = (before_n + n, before_accepted + accepted)
    return tuple(HourTally(hour_at, n, accepted) for hour_at, (n, accepted) in merged.items())
