"""Simulated shops: how many order and how many of them accept, tick by tick of five minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Hours = NDArray[np.float64]
Rates = NDArray[np.float64]

TICK = timedelta(minutes=5)
TICKS_PER_HOUR = 12
TICKS_PER_DAY = 24 * TICKS_PER_HOUR
TICKS_PER_WEEK = 7 * TICKS_PER_DAY
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)

Course = Callable[[Hours, Hours], Rates]
"""The chance of acceptance at each tick, from hours since Monday 00:00 UTC and hours since the phase began."""


def constant(rate: float) -> Course:
    """Return a rate that never changes."""
    return lambda week_hours, _: np.full_like(week_hours, rate)


def weekend(weekdays: float, weekends: float) -> Course:
    """Return one rate from Monday to Friday and another on Saturday and Sunday."""
    return lambda week_hours, _: np.where(week_hours % 168 < 120, weekdays, weekends)


def day_and_night(mean: float, swing: float) -> Course:
    """Return a rate that is high for twelve hours and low for twelve."""
    return lambda week_hours, _: np.where(week_hours % 24 < 12, mean - swing, mean + swing)


def waves(mean: float, swing: float) -> Course:
    """Return a rate that rises and falls over the day like a sine."""
    return lambda week_hours, _: mean + swing * np.sin(2 * np.pi * week_hours / 24)


def falling(before: float, after: float, at_hours: float) -> Course:
    """Return a rate that changes at an age of the phase."""
    return lambda _, age_hours: np.where(age_hours < at_hours, before, after)


@dataclass(frozen=True)
class History:
    """What happened: `accepted` has a row per variant, the control first, and a column per tick.

    Every variant has `per_tick` outcomes in every tick. The phase opens on a tick: at a multiple of five minutes.
    """

    opened_at: datetime
    per_tick: int
    accepted: Counts

    @property
    def ticks(self) -> int:
        """How many ticks there are."""
        return int(self.accepted.shape[1])

    @property
    def first_tick(self) -> int:
        """Ticks between the last hour boundary and the phase's start, 0 to 11."""
        return self.opened_at.minute // 5

    def looked_at(self, look: int) -> datetime:
        """Return when a look is taken: at the end of its tick."""
        return self.opened_at + (look + 1) * TICK


@dataclass(frozen=True)
class World:
    """A shop with an experiment: the acceptance of the control, of each test variant, and the traffic of each."""

    control: Course
    tests: tuple[Course, ...]
    per_tick: int
    days: int = 14

    def history(self, rng: np.random.Generator, *, opened_at: datetime | None = None) -> History:
        """Return one run of it; the phase opens at any five minutes of the week unless it is said at which."""
        start = int(rng.integers(TICKS_PER_WEEK)) if opened_at is None else (opened_at - MONDAY) // TICK
        age_hours = np.arange(self.days * TICKS_PER_DAY) / TICKS_PER_HOUR
        week_hours = age_hours + start / TICKS_PER_HOUR
        rates = np.stack([course(week_hours, age_hours) for course in (self.control, *self.tests)])
        return History(MONDAY + start * TICK, self.per_tick, rng.binomial(self.per_tick, rates))
