"""The join rate: its bound holds against the exact binomial, and few orders prove nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from catalog_experiments.stats.joins import JoinCounts, has_fallen, log_chance_of_so_few


@given(trials=st.integers(1, 5_000), share=st.floats(0, 1), rate=st.floats(0.01, 1))
def test_log_chance__never_below_the_exact_one(trials: int, share: float, rate: float) -> None:
    successes = int(share * trials)

    bound = log_chance_of_so_few(successes, trials, rate)

    assert bound <= 0.0
    assert math.exp(bound) >= binom.cdf(successes, trials, rate) - 1e-9


@pytest.mark.parametrize(
    ("counts", "usual", "expected"),
    [
        (JoinCounts(), 0.8, False),
        (JoinCounts(0, 99), 0.8, False),
        (JoinCounts(0, 100), 0.8, True),
        (JoinCounts(64, 100), 0.8, False),
        (JoinCounts(640, 1_000), 0.8, True),
        (JoinCounts(641, 1_000), 0.8, False),
        (JoinCounts(0, 1_000), 0.0, False),
    ],
    ids=["nothing", "too few", "all lost", "may be chance", "a fifth lost", "less than a fifth", "never any"],
)
def test_has_fallen__needs_a_fall_and_evidence(counts: JoinCounts, usual: float, expected: bool) -> None:
    assert has_fallen(counts, usual, to=0.8) == expected
