"""Has telemetry fallen silent, or is it merely night? What should have come in, by the hour of the week."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from catalog_experiments.hours import hour_of

HOUR = timedelta(hours=1)
HOURS_OF_WEEK = 168

IMPOSSIBLE = 1e-6
"""Below this chance something is taken not to be chance."""

CAUTION = 0.5
"""Share of the usual traffic that is expected at least: a holiday or a storm halves a shop and does not silence it."""

LEVEL_WINDOWS = (24, 3)
"""Whole hours before the silence over which the present level is read; the lower one stands."""


@dataclass(frozen=True, slots=True)
class WeekProfile:
    """Mean exposures of a shop in each hour of the week, Monday 00:00 UTC first; 168 values of 0 or more."""

    means: tuple[float, ...]

    def between(self, start_at: datetime, end_at: datetime) -> float:
        """Return what usually comes in between two times in UTC; parts of hours count in proportion."""
        total, hour_at = 0.0, hour_of(start_at)
        while hour_at < end_at:
            covered = (min(end_at, hour_at + HOUR) - max(start_at, hour_at)) / HOUR
            total += max(0.0, covered) * self.means[hour_of_week(hour_at)]
            hour_at += HOUR
        return total

    def cautious(self) -> WeekProfile:
        """Return the profile in which each hour is the least of itself and its neighbors.

        A shop lives by its own clock: when that changes, its mornings come an hour earlier or later in UTC.
        """
        return WeekProfile(_least_of_neighbors(self.means))


@lru_cache(maxsize=4)
def _least_of_neighbors(means: tuple[float, ...]) -> tuple[float, ...]:
    # Kept, because one shop's week is asked of all its phases in turn.
    after = (*means[1:], means[0])
    before = (means[-1], *means[:-1])
    return tuple(map(min, before, means, after))


def hour_of_week(moment: datetime) -> int:
    """Return the hours since Monday 00:00 of a time in UTC, in [0, 167].

    >>> from datetime import UTC
    >>> hour_of_week(datetime(2026, 3, 3, 14, 59, tzinfo=UTC))
    38
    """
    return 24 * moment.weekday() + moment.hour


def week_profile(totals: Sequence[int], first_at: datetime, until_at: datetime) -> WeekProfile | None:
    """Return the mean of each hour of the week; None until the history covers each of them once.

    Args:
        totals: exposures by hour of the week over the whole history, 168 counts.
        first_at: start of the history's first hour, in UTC.
        until_at: start of the hour after its last.

    >>> from datetime import UTC
    >>> profile = week_profile([20] * 168, datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC))
    >>> profile.means[0], week_profile([20] * 168, datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC))
    (10.0, None)
    """
    hours = int((until_at - first_at) / HOUR)
    if hours < HOURS_OF_WEEK:
        return None
    first, (weeks, rest) = hour_of_week(first_at), divmod(hours, HOURS_OF_WEEK)
    seen = (weeks + ((hour - first) % HOURS_OF_WEEK < rest) for hour in range(HOURS_OF_WEEK))
    return WeekProfile(tuple(total / times for total, times in zip(totals, seen, strict=True)))


class Level(NamedTuple):
    """Exposures of one phase in `[start_at, end_at)`, whole hours in UTC."""

    start_at: datetime
    end_at: datetime
    exposures: int


def level_windows(opened_at: datetime, last_at: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Return the whole hours over which a phase's level is read: up to 24 and up to 3 before its last exposure's.

    >>> from datetime import UTC
    >>> opened_at, last_at = datetime(2026, 3, 2, 7, 30, tzinfo=UTC), datetime(2026, 3, 2, 12, 40, tzinfo=UTC)
    >>> [(start.hour, end.hour) for start, end in level_windows(opened_at, last_at)]
    [(8, 12), (9, 12)]
    """
    first, end_at = hour_of(opened_at - timedelta(microseconds=1)) + HOUR, hour_of(last_at)
    return tuple((max(end_at - hours * HOUR, first), end_at) for hours in LEVEL_WINDOWS)


def missing_exposures(profile: WeekProfile, levels: Sequence[Level], *, silent_from: datetime, now: datetime) -> float:
    """Return how many exposures of a phase should have come in since it fell silent, at least.

    The shop's cautious profile gives the shape of the week; how large the phase's part of it is, its own last hours
    say, the window in which it was least; half of that is expected. So neither a quiet night nor a holiday is a
    silence, nor a change of clocks. 0 without a whole hour to read the level from.

    Args:
        profile: the shop's week.
        levels: what the phase had in its windows before it fell silent.
        silent_from: its last exposure, or the end of a pause that came later; UTC.
        now: until when it is silent; UTC.

    Assumes: the phase's share of the shop moves slower than its windows.

    >>> from datetime import UTC
    >>> profile, noon = WeekProfile((240.0,) * 168), datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> levels = [Level(noon - 24 * HOUR, noon, 1_440), Level(noon - 3 * HOUR, noon, 200)]
    >>> missing_exposures(profile, levels, silent_from=noon, now=noon + HOUR / 2)
    15.0
    """
    usual = ((level, profile.between(level.start_at, level.end_at)) for level in levels)
    shares = (level.exposures / expected if expected > 0 else 0.0 for level, expected in usual)
    return CAUTION * min(shares, default=0.0) * profile.cautious().between(silent_from, now)


def is_impossible_silence(missing: float) -> bool:
    """Say whether no exposure at all where `missing` were expected is beyond chance.

    Assumes: arrivals are Poisson around an expectation that is at least `missing`.
    Source: the Poisson probability of zero, exp(-missing), against one in a million.

    >>> is_impossible_silence(13.8), is_impossible_silence(13.9)
    (False, True)
    """
    return missing > -math.log(IMPOSSIBLE)
