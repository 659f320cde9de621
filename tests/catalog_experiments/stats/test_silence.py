"""Silence: what a week promises between two times, and how rarely a shop that merely sleeps is called silent."""

from __future__ import annotations

import datetime as dt
import random

from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.stats.silence import (
    HOUR,
    HOURS_OF_WEEK,
    Level,
    WeekProfile,
    is_impossible_silence,
    level_windows,
    missing_exposures,
    week_profile,
)

MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
MINUTES = st.integers(0, 14 * 24 * 60)
WEEK = WeekProfile(tuple(float(hour % 24) for hour in range(HOURS_OF_WEEK)))


@given(times=st.lists(MINUTES, min_size=3, max_size=3).map(sorted))
def test_between__of_two_spans_that_meet__adds_up(times: list[int]) -> None:
    start, middle, end = (MONDAY + dt.timedelta(minutes=minutes) for minutes in times)

    whole = WEEK.between(start, end)

    assert abs(WEEK.between(start, middle) + WEEK.between(middle, end) - whole) < 1e-6


def test_between__a_whole_week_from_anywhere__is_the_whole_profile() -> None:
    start = MONDAY + dt.timedelta(days=2, minutes=17)

    assert abs(WEEK.between(start, start + 7 * 24 * HOUR) - sum(WEEK.means)) < 1e-6


@given(hours=st.integers(HOURS_OF_WEEK, 4 * HOURS_OF_WEEK), first=st.integers(0, HOURS_OF_WEEK))
def test_week_profile__of_an_even_history__is_even_however_it_is_cut(hours: int, first: int) -> None:
    first_at = MONDAY + first * HOUR
    totals = [0] * HOURS_OF_WEEK
    for hour in range(hours):
        totals[(first + hour) % HOURS_OF_WEEK] += 30

    profile = week_profile(totals, first_at, first_at + hours * HOUR)

    assert profile == WeekProfile((30.0,) * HOURS_OF_WEEK)


def test_missing__without_a_whole_hour_of_the_phase__is_nothing() -> None:
    opened_at = MONDAY + 12 * HOUR
    levels = [Level(*window, 500) for window in level_windows(opened_at, opened_at + HOUR / 2)]

    assert missing_exposures(WEEK, levels, silent_from=opened_at, now=opened_at + 5 * HOUR) == 0.0


def test_silence__of_a_shop_that_is_only_slow__is_not_called_for_the_longest_gap_of_ten_years() -> None:
    draw = random.Random(20260302)
    profile = WeekProfile((6.0,) * HOURS_OF_WEEK)
    levels = [Level(MONDAY - hours * HOUR, MONDAY, 6 * hours) for hours in (24, 3)]
    longest = max(HOUR * draw.expovariate(6.0) for _ in range(10 * 365 * 24 * 6))

    assert not is_impossible_silence(_missing(profile, levels, longest))
    assert is_impossible_silence(_missing(profile, levels, 3 * longest))


def _missing(profile: WeekProfile, levels: list[Level], gap: dt.timedelta) -> float:
    return missing_exposures(profile, levels, silent_from=MONDAY, now=MONDAY + gap)
