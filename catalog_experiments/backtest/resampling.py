"""Healthy phases made of a shop's own past: whole weeks, or days of the same weekday, dealt out among variants. Pure.

Every hour of a made-up phase is an hour that happened, at the same hour of the same weekday. For each week one week of
the past is drawn per variant, and hour by hour they are dealt out at random: the weekly rhythm and a bad week hit all
variants alike, and no variant is better than another.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from catalog_experiments.backtest.course import Count, Course, VariantCourse, total
from catalog_experiments.guardrails import HourTally
from catalog_experiments.hours import hour_of
from catalog_experiments.stats.blocks import HOUR, HOURS_PER_DAY

DAY = timedelta(days=1)
DAYS_PER_WEEK = 7
FEWEST_WEEKS = 4
FEWEST_DAYS_OF_A_WEEKDAY = 2
FEWEST_OUTCOMES = 100
FEWEST_ACCEPTED = 20

Method = Literal["weeks", "days"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hours of one offer without a gap, from a whole hour on: outcomes and acceptances of each."""

    first_hour_at: datetime
    counts: tuple[Count, ...]

    @property
    def ended_at(self) -> datetime:
        """End of its last hour."""
        return self.first_hour_at + len(self.counts) * HOUR

    def piece(self, start_at: datetime, hours: int) -> tuple[Count, ...]:
        """Return the hours from `start_at` on; all of them lie inside."""
        first = (start_at - self.first_hour_at) // HOUR
        return self.counts[first : first + hours]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What resamples are drawn from: pieces of the past by weekday of their beginning.

    Whole weeks all begin on one weekday and stand under it; days stand under each weekday (Monday 0). `starts_at` is a
    moment at which a piece began: made-up phases open at the same hour of the week.
    """

    method: Method
    starts_at: datetime
    pieces: Mapping[int, Sequence[tuple[Count, ...]]]


class TooLittleHistory(ValueError):
    """The past does not show a week's rhythm; the message says what is missing."""


def stretch_of(tallies: Sequence[HourTally], from_at: datetime, to_at: datetime) -> Stretch | None:
    """Lay out the tallies of the whole hours within `[from_at, to_at)`; None when there is no whole hour."""
    first_at = hour_of(from_at + HOUR - timedelta(microseconds=1))
    hours = (to_at - first_at) // HOUR
    if hours < 1:
        return None
    counts = [(0, 0)] * hours
    for hour_at, n, accepted in tallies:
        if first_at <= hour_at < first_at + hours * HOUR:
            counts[(hour_at - first_at) // HOUR] = (n, accepted)
    return Stretch(first_at, tuple(counts))


def rhythm_of(stretches: Sequence[Stretch]) -> Rhythm:
    """Cut the past into whole weeks, or where there are fewer than four of these into days.

    Raises:
        TooLittleHistory: some weekday was seen less than twice in full, or orders are too few.
    """
    _require_orders(stretches)
    starts_at = min(stretch.first_hour_at for stretch in stretches)
    weeks = [week for stretch in stretches for _, week in _cut(stretch, starts_at, DAYS_PER_WEEK)]
    if len(weeks) >= FEWEST_WEEKS:
        return Rhythm("weeks", starts_at, {starts_at.weekday(): weeks})
    days = defaultdict[int, list[tuple[Count, ...]]](list)
    for stretch in stretches:
        for day_at, day in _cut(stretch, starts_at, 1):
            days[day_at.weekday()].append(day)
    seen = min(len(days[weekday]) for weekday in range(DAYS_PER_WEEK))
    if seen < FEWEST_DAYS_OF_A_WEEKDAY:
        whole = sum(len(pieces) for pieces in days.values())
        raise TooLittleHistory(
            f"{whole} whole {'day' if whole == 1 else 'days'} of history; each weekday must have been seen at least "
            f"{FEWEST_DAYS_OF_A_WEEKDAY} times, which 14 days without a gap give."
        )
    return Rhythm("days", starts_at, dict(days))


def resample(rhythm: Rhythm, *, days: int, test_count: int, chance: random.Random) -> Course:
    """Return a made-up healthy phase of so many days, with a control and `test_count` test variants alike."""
    variants = test_count + 1
    hours = list[list[Count]]([] for _ in range(variants))
    for drawn in _drawn(rhythm, days, variants, chance):
        for dealt in zip(*drawn, strict=True):
            for own, count in zip(hours, chance.sample(dealt, variants), strict=True):
                own.append(count)
    length = days * HOURS_PER_DAY
    return Course(
        opened_at=rhythm.starts_at,
        ended_at=rhythm.starts_at + days * DAY,
        variants=tuple(
            VariantCourse("control" if index == 0 else f"test-{index}", tuple(own[:length]), is_control=index == 0)
            for index, own in enumerate(hours)
        ),
    )


def _drawn(rhythm: Rhythm, days: int, variants: int, chance: random.Random) -> list[list[tuple[Count, ...]]]:
    step = DAYS_PER_WEEK if rhythm.method == "weeks" else 1
    first = rhythm.starts_at.weekday()
    return [chance.choices(rhythm.pieces[(first + day) % DAYS_PER_WEEK], k=variants) for day in range(0, days, step)]


def _cut(stretch: Stretch, starts_at: datetime, days: int) -> list[tuple[datetime, tuple[Count, ...]]]:
    """Cut a stretch into whole pieces that begin at the same hour (and for weeks weekday) as `starts_at`."""
    length = days * DAY
    begin_at = stretch.first_hour_at + (starts_at - stretch.first_hour_at) % length
    pieces = max(0, (stretch.ended_at - begin_at) // length)
    starts = [begin_at + number * length for number in range(pieces)]
    return [(start_at, stretch.piece(start_at, days * HOURS_PER_DAY)) for start_at in starts]


def _require_orders(stretches: Sequence[Stretch]) -> None:
    n, accepted = total([count for stretch in stretches for count in stretch.counts])
    if n < FEWEST_OUTCOMES or accepted < FEWEST_ACCEPTED:
        raise TooLittleHistory(
            f"{n:,} orders, {accepted:,} of which took the offer; "
            f"at least {FEWEST_OUTCOMES} and {FEWEST_ACCEPTED} are needed."
        )
