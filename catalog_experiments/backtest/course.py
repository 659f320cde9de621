"""A phase as it went, hour by hour: what every look of a replay sees, at the price of a subtraction. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import accumulate

from catalog_experiments.guardrails import GuardrailConfig, HourTally, Observation, PhaseFrame
from catalog_experiments.hours import hour_of
from catalog_experiments.stats.blocks import (
    DAY_WEIGHT,
    HOUR,
    HOUR_WEIGHT,
    HOURS_PER_DAY,
    KEPT_HOURS,
    START_WEIGHT,
    Block,
    BlockSeries,
)
from catalog_experiments.stats.moments import VariantMoments

Count = tuple[int, int]
"""Outcomes of one hour, and how many of them accepted."""

_NOTHING: Count = (0, 0)


@dataclass(frozen=True)
class Proposal:
    """Guardrails to try out, and the sample below which a variant is collecting."""

    config: GuardrailConfig
    minimum_sample: int = 0


@dataclass(frozen=True)
class VariantCourse:
    """One variant's hours, the first being the hour in which the phase began.

    `harm` holds the moments of conversion within 24 hours by the day of exposure, oldest first.
    """

    variant_key: str
    counts: tuple[Count, ...]
    is_control: bool = False
    has_bundle: bool = True
    harm: tuple[tuple[date, VariantMoments], ...] = ()

    @cached_property
    def outcomes_before(self) -> tuple[int, ...]:
        """Outcomes before each hour, and at the end all of them."""
        return tuple(accumulate((n for n, _ in self.counts), initial=0))

    @cached_property
    def accepted_before(self) -> tuple[int, ...]:
        """Acceptances before each hour, and at the end all of them."""
        return tuple(accumulate((accepted for _, accepted in self.counts), initial=0))

    def since(self, hour: int, end: int) -> Count:
        """Return outcomes and acceptances of the hours `[hour, end)`."""
        return (
            self.outcomes_before[end] - self.outcomes_before[hour],
            self.accepted_before[end] - self.accepted_before[hour],
        )

    def harm_until(self, last_date: date) -> VariantMoments:
        """Return the moments of units exposed on or before a day."""
        return sum((moments for day, moments in self.harm if day <= last_date), VariantMoments())


@dataclass(frozen=True)
class Course:
    """A phase with all its variants, control first; every variant has the same number of hours.

    Look `i` sees the hours up to and including the i-th, as a guardrail tick at that hour's end does; in an hour that
    the phase did not live to the end of, blocks open as at its beginning. Times are aware and in UTC.
    """

    opened_at: datetime
    ended_at: datetime
    variants: tuple[VariantCourse, ...]

    @property
    def first_hour_at(self) -> datetime:
        """Start of the hour in which the phase began."""
        return hour_of(self.opened_at)

    @cached_property
    def looks(self) -> int:
        """How many hours the phase saw, and so how many looks there are."""
        return len(self.variants[0].counts) if self.variants else 0

    @cached_property
    def control(self) -> VariantCourse | None:
        """The control, if there is one."""
        return next((variant for variant in self.variants if variant.is_control), None)

    @cached_property
    def tests(self) -> tuple[VariantCourse, ...]:
        """All variants but the control."""
        return tuple(variant for variant in self.variants if not variant.is_control)

    def look_at(self, look: int) -> datetime:
        """Return when a look takes place: the end of its hour, or the phase's own."""
        return min(self.first_hour_at + (look + 1) * HOUR, self.ended_at)

    def judged_at(self, look: int) -> datetime:
        """Return the hour that a judgement at this look is made for, never before the phase began."""
        return max(hour_of(self.look_at(look)), self.opened_at)

    def blocks_at(self, look: int) -> int:
        """Return how many hour blocks are open at a look."""
        return (hour_of(self.look_at(look)) - self.first_hour_at) // HOUR

    def series_at(self, variant: VariantCourse, look: int) -> BlockSeries:
        """Return what `stats.blocks.block_series` makes of the variant's tallies at this look."""
        opened, end = self.blocks_at(look), look + 1
        days = opened // HOURS_PER_DAY
        kept = range(max(1, opened - KEPT_HOURS), opened + 1)
        blocks = (
            Block("start", 0, *variant.since(0, end), START_WEIGHT),
            *(
                Block("day", day, *variant.since(HOURS_PER_DAY * day, end), _share(DAY_WEIGHT, day))
                for day in range(1, days + 1)
            ),
            *(Block("hour", hour, *variant.since(hour, end), _share(HOUR_WEIGHT, hour)) for hour in kept),
        )
        return BlockSeries(blocks, DAY_WEIGHT / (days + 1) + HOUR_WEIGHT / (opened + 1))

    def frame_at(self, look: int, proposal: Proposal, planned_sample_size: int) -> PhaseFrame:
        """Return the frame in which the guardrails judge this look."""
        return PhaseFrame(
            opened_at=self.opened_at,
            now=self.judged_at(look),
            alpha=proposal.config.alpha,
            minimum_sample=proposal.minimum_sample,
            config=proposal.config,
            planned_sample_size=planned_sample_size,
        )

    def observations_at(self, look: int) -> tuple[Observation, ...]:
        """Return what the guardrails are shown at this look."""
        last_date = last_mature_date(self.look_at(look))
        return tuple(
            Observation(
                variant_key=variant.variant_key,
                is_control=variant.is_control,
                has_bundle=variant.has_bundle,
                tallies=self._tallies(variant, look),
                harm=variant.harm_until(last_date),
            )
            for variant in self.variants
        )

    def _tallies(self, variant: VariantCourse, look: int) -> tuple[HourTally, ...]:
        hours = enumerate(variant.counts[: look + 1])
        return tuple(HourTally(self.first_hour_at + hour * HOUR, *count) for hour, count in hours if count[0])


def hourly_counts(tallies: Iterable[HourTally], opened_at: datetime, ended_at: datetime) -> tuple[Count, ...]:
    """Lay tallies out hour by hour from the hour of the opening to that of the end.

    Earlier ones count in the first hour and later ones in the last, as guardrails count them.
    """
    first_at = hour_of(opened_at)
    counts = [_NOTHING] * max(1, -((first_at - ended_at) // HOUR))
    for hour_at, n, accepted in tallies:
        hour = min(max(0, (hour_at - first_at) // HOUR), len(counts) - 1)
        counts[hour] = (counts[hour][0] + n, counts[hour][1] + accepted)
    return tuple(counts)


def last_mature_date(now: datetime) -> date:
    """Return the newest day of exposure of which every unit has had its 24 hours, and one hour more.

    Of past phases whole days are kept and no hours: live, most of a day's units are judged earlier.
    """
    return (now - HOUR).date() - timedelta(days=2)


def total(counts: Sequence[Count]) -> Count:
    """Add up hours.

    >>> total([(3, 1), (2, 2)])
    (5, 3)
    """
    return sum(n for n, _ in counts), sum(accepted for _, accepted in counts)


def _share(weight: float, number: int) -> float:
    return weight / (number * (number + 1))
