"""Made-up healthy phases: every hour happened, at the same hour of the week; and nothing is made of too little."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_experiments.backtest.resampling import Stretch, TooLittleHistory, resample, rhythm_of, stretch_of
from catalog_experiments.guardrails import HourTally
from tests.catalog_experiments.backtest.courses import HOUR, MONDAY, rhythmic, weekend

WEEK = 168


def labeled(days: int, *, offset_hours: int = 0) -> Stretch:
    """Return a past whose counts name their own hour: outcomes are 1,000 and the number of the hour."""
    counts = tuple((1_000 + hour, hour % 7 + 1) for hour in range(24 * days))
    return Stretch(MONDAY + offset_hours * HOUR, counts)


@settings(max_examples=40, deadline=None)
@given(
    days=st.sampled_from([14, 20, 28, 41]),
    offset=st.integers(0, 200),
    length=st.integers(1, 20),
    tests=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_resample__any_past__every_hour_is_one_of_the_same_hour_of_the_week(
    days: int, offset: int, length: int, tests: int, seed: int
) -> None:
    past = labeled(days, offset_hours=offset)

    phase = resample(rhythm_of([past]), days=length, test_count=tests, chance=random.Random(seed))

    assert len(phase.variants) == tests + 1
    for variant in phase.variants:
        assert len(variant.counts) == 24 * length
        for hour, (n, accepted) in enumerate(variant.counts):
            happened = n - 1_000
            assert past.counts[happened] == (n, accepted)
            at, then = phase.opened_at + hour * HOUR, past.first_hour_at + happened * HOUR
            assert (at.weekday(), at.hour) == (then.weekday(), then.hour)


def test_resample__four_weeks__deals_whole_weeks_out_hour_by_hour() -> None:
    past = labeled(28)

    phase = resample(rhythm_of([past]), days=7, test_count=1, chance=random.Random(3))

    weeks = [{(variant.counts[hour][0] - 1_000) // WEEK for variant in phase.variants} for hour in range(WEEK)]
    assert len(set().union(*weeks)) <= 2
    assert all(week == weeks[0] for week in weeks)
    own = {(n - 1_000) // WEEK for n, _ in phase.variants[0].counts}
    assert own == weeks[0]


def test_resample__same_seed__makes_the_same_phase() -> None:
    rhythm = rhythm_of([rhythmic(28, weekend)])

    one, other = (resample(rhythm, days=14, test_count=1, chance=random.Random(5)) for _ in range(2))

    assert one == other


@pytest.mark.parametrize(("days", "method"), [(14, "days"), (27, "days"), (28, "weeks")])
def test_rhythm__length_of_the_past__decides_between_weeks_and_days(days: int, method: str) -> None:
    assert rhythm_of([rhythmic(days, weekend)]).method == method


def test_rhythm__two_stretches__begin_at_the_same_hour_of_the_week() -> None:
    first, later = labeled(15), labeled(16, offset_hours=30 * 24 + 5)

    rhythm = rhythm_of([later, first])

    assert rhythm.starts_at == MONDAY
    starts = [piece[0][0] - 1_000 for pieces in rhythm.pieces.values() for piece in pieces]
    assert {start % 24 for start in starts} == {0, 19}


@pytest.mark.parametrize(
    ("past", "lack"),
    [
        (rhythmic(13, weekend), "13 whole days of history; .* 14 days"),
        (rhythmic(28, lambda at: 0.0), "6,720 orders, 0 of which took the offer"),
        (Stretch(MONDAY, ((1, 1),) * 24), "24 orders, 24 of which"),
    ],
)
def test_rhythm__too_little__says_what_is_missing(past: Stretch, lack: str) -> None:
    with pytest.raises(TooLittleHistory, match=lack):
        rhythm_of([past])


def test_stretch__span_within_hours__keeps_whole_hours_only() -> None:
    tallies = [HourTally(MONDAY + hour * HOUR, 10 + hour, 1) for hour in range(4)]

    stretch = stretch_of(tallies, MONDAY + timedelta(minutes=10), MONDAY + timedelta(hours=3, minutes=50))

    assert stretch == Stretch(MONDAY + HOUR, ((11, 1), (12, 1)))
    assert stretch_of(tallies, MONDAY, MONDAY + timedelta(minutes=59)) is None
