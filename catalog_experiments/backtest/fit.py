"""Does the control itself meet the proposed bounds? One that does not makes a guardrail that is stuck. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from catalog_experiments.backtest.course import Course, VariantCourse, total
from catalog_experiments.backtest.replay import Limit, crossed_at
from catalog_experiments.backtest.resampling import FEWEST_OUTCOMES, Stretch
from catalog_experiments.stats.blocks import HOUR
from catalog_experiments.stats.effects import wilson_interval

FEWEST_ORDERS = 20
"""Days and hours with fewer orders say nothing about a rate by themselves and are left out of the shares."""

_PRECISION = 1e-4


@dataclass(frozen=True, slots=True)
class ControlFit:
    """How the control's own history lies to one bound.

    Attributes:
        limit: the bound.
        orders: the control's orders over the whole history, at least 1.
        accepted: how many of them took the offer.
        outside_days: days on which its rate missed the bound, of `days` with at least 20 orders.
        outside_hours: the same of `hours`.
        crossed_at: when the evidence against the control itself first reached the pause line; None when it never did.
        fitting_threshold: the strictest threshold, to four decimals, that the control surely reaches and its history
            never speaks against.
    """

    limit: Limit
    orders: int
    accepted: int
    outside_days: int
    days: int
    outside_hours: int
    hours: int
    crossed_at: datetime | None
    fitting_threshold: float

    @property
    def rate(self) -> float:
        """The control's acceptance, in [0, 1]."""
        return self.accepted / self.orders

    @property
    def is_stuck(self) -> bool:
        """Say whether the control misses the bound: by evidence, or over a history that is not too short."""
        if self.crossed_at is not None:
            return True
        return self.orders >= FEWEST_OUTCOMES and not self.limit.holds(self.orders, self.accepted)


def control_fit(stretches: Sequence[Stretch], limit: Limit, share: float) -> ControlFit:
    """Hold the control's past, of at least one order, against a bound; `share` is the bound's part of alpha.

    Each stretch counts from zero, as a phase does.
    """
    hours = [count for stretch in stretches for count in stretch.counts]
    n, accepted = total(hours)
    courses = [_course(stretch) for stretch in stretches]
    outside_days, judged_days = _outside(list(_days(stretches)), limit)
    outside_hours, judged_hours = _outside(hours, limit)
    return ControlFit(
        limit=limit,
        orders=n,
        accepted=accepted,
        outside_days=outside_days,
        days=judged_days,
        outside_hours=outside_hours,
        hours=judged_hours,
        crossed_at=_first_crossing(courses, limit, share),
        fitting_threshold=_fitting_threshold(courses, limit, share, surely_reached(limit, n, accepted)),
    )


def surely_reached(limit: Limit, n: int, accepted: int) -> float:
    """Return the 95 % Wilson limit of a rate on the side of a bound: the strictest bound that it surely meets.

    `n` is at least 1.

    >>> round(surely_reached(Limit("min_acceptance_rate", 0.5), 1_000, 100), 4)
    0.0829
    """
    interval = wilson_interval(accepted, n)
    if interval is None:
        raise ValueError("A rate of nothing reaches no bound.")
    return interval.upper if limit.is_maximum else interval.lower


def _outside(counts: Sequence[tuple[int, int]], limit: Limit) -> tuple[int, int]:
    judged = [count for count in counts if count[0] >= FEWEST_ORDERS]
    return sum(not limit.holds(*count) for count in judged), len(judged)


def _days(stretches: Sequence[Stretch]) -> Iterator[tuple[int, int]]:
    for stretch in stretches:
        days: dict[date, list[tuple[int, int]]] = {}
        for hour, count in enumerate(stretch.counts):
            days.setdefault((stretch.first_hour_at + hour * HOUR).date(), []).append(count)
        yield from (total(counts) for counts in days.values())


def _course(stretch: Stretch) -> Course:
    own = VariantCourse("control", stretch.counts, is_control=True)
    return Course(stretch.first_hour_at, stretch.ended_at, (own,))


def _first_crossing(courses: Sequence[Course], limit: Limit, share: float) -> datetime | None:
    looks = ((course, crossed_at(course, course.variants[0], limit, share)) for course in courses)
    return min((course.look_at(look) for course, look in looks if look is not None), default=None)


def _fitting_threshold(courses: Sequence[Course], limit: Limit, share: float, reach: float) -> float:
    """Bisect between no bound at all and the control's reach: a stricter threshold only ever adds evidence."""
    mild, strict = (1.0, reach) if limit.is_maximum else (0.0, reach)
    if _fits(courses, Limit(limit.bound, reach), share):
        return round(reach, 4)
    while abs(strict - mild) > _PRECISION:
        middle = (mild + strict) / 2
        if _fits(courses, Limit(limit.bound, middle), share):
            mild = middle
        else:
            strict = middle
    return round(mild, 4)


def _fits(courses: Sequence[Course], limit: Limit, share: float) -> bool:
    if not 0 < limit.threshold < 1:
        return True
    return all(crossed_at(course, course.variants[0], limit, share) is None for course in courses)
