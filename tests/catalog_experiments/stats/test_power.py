"""Planning against statsmodels."""

from __future__ import annotations

import math

import pytest
from statsmodels.stats.power import NormalIndPower

from catalog_experiments.stats.power import Duration, days_to_verdict, mde, sample_size, sample_size_of_means


@pytest.mark.parametrize(
    ("baseline", "expected", "n"), [(0.10, 0.12, 3841), (0.10, 0.11, 14_751), (0.02, 0.022, 80_682), (0.12, 0.10, 3841)]
)
def test_sample_size__published_designs__equals_r(baseline: float, expected: float, n: int) -> None:
    assert sample_size(baseline, expected) == n


@pytest.mark.parametrize(("baseline", "expected"), [(0.1, 0.1), (0.0, 0.1), (0.1, 1.0)])
def test_sample_size__no_question__raises(baseline: float, expected: float) -> None:
    with pytest.raises(ValueError, match="Two different rates"):
        sample_size(baseline, expected)


def test_sample_size_of_means__effect__equals_statsmodels() -> None:
    expected = NormalIndPower().solve_power(effect_size=0.1, alpha=0.05, power=0.9)

    assert sample_size_of_means(10, 1, power=0.9) == math.ceil(expected)
    with pytest.raises(ValueError, match="other than 0"):
        sample_size_of_means(10, 0)


@pytest.mark.parametrize("n", [500, 3841, 100_000])
def test_mde__any_sample__is_the_smallest_rise_that_fits(n: int) -> None:
    rise = mde(0.10, n)

    assert rise is not None
    assert sample_size(0.10, 0.10 + rise) <= n
    assert sample_size(0.10, 0.10 + rise * 0.999) > n


def test_days_to_verdict__small_need__is_two_weeks_and_the_window() -> None:
    assert days_to_verdict(100, 2, 1000) == Duration(14, 21)
    assert days_to_verdict(3841, 2, 400, coverage=0.5) == Duration(42, 49)
    assert days_to_verdict(3841, 2, 0) is None
