"""The ceiling over the evidence: never below it, and equal to it while no hour block is dropped."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_experiments.stats.blocks import BlockClock, HourTally, block_series
from catalog_experiments.stats.ceiling import EvidenceCeiling
from catalog_experiments.stats.mixture import mixture_evidence

OPENED_AT = datetime(2026, 1, 5, tzinfo=UTC)
counts = st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def evidence_after(hours: list[tuple[int, int]], bound: float) -> float:
    tallies = [HourTally(OPENED_AT + timedelta(hours=hour), *count) for hour, count in enumerate(hours)]
    clock = BlockClock(OPENED_AT, OPENED_AT + timedelta(hours=len(hours)))
    return mixture_evidence(block_series(clock, tallies), bound).log_e


@settings(max_examples=60, deadline=None)
@given(hours=st.lists(counts, min_size=1, max_size=90), bound=st.sampled_from([0.02, 0.1, 0.5, 0.9]))
def test_ceiling__any_hours__is_never_below_the_evidence(hours: list[tuple[int, int]], bound: float) -> None:
    ceiling = EvidenceCeiling(bound)

    reached = [ceiling.add_hour(*count) for count in hours]

    for seen in range(1, len(hours) + 1):
        assert math.log(reached[seen - 1]) >= evidence_after(hours[:seen], bound)


def test_ceiling__outside_the_bound_for_a_day__is_the_evidence() -> None:
    hours = [(20, 1), (0, 0), (30, 2), (10, 0)] * 6
    ceiling = EvidenceCeiling(0.1)

    reached = [ceiling.add_hour(*count) for count in hours]

    assert math.log(reached[-1]) == pytest.approx(evidence_after(hours, 0.1), abs=1e-6)


def test_ceiling__past_the_largest_float__stays_infinite_and_never_becomes_no_number() -> None:
    ceiling = EvidenceCeiling(0.5)
    ceiling.add_hour(10, 0)

    reached = [ceiling.add_hour(100_000, 0), ceiling.add_hour(100_000, 100_000)]

    assert reached == [math.inf, math.inf]
