"""Sample ratio: scipy, published counts, silence on clean splits and speed on broken ones."""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from scipy import stats as oracle

from catalog_experiments.stats.srm import LIVE_ALPHA, chi_square, log_live_e, log_multinomial_e, same_shares

COOKIE_CATS = (44_700, 45_489)


def test_chi_square__cookie_cats__gives_the_published_numbers() -> None:
    result = chi_square(COOKIE_CATS, (1, 1))

    assert result is not None
    assert (round(result.statistic, 4), round(result.p_value, 6)) == (6.9024, 0.008608)


def test_chi_square__hillstrom__is_clean() -> None:
    result = chi_square((21_307, 21_387, 21_306), (1, 1, 1))

    assert result is not None
    assert round(result.p_value, 4) == 0.9037


@given(st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)), min_size=2, max_size=6))
def test_same_shares__any_two_groups__equals_scipy(variants: list[tuple[int, int]]) -> None:
    one, other = zip(*variants, strict=True)
    filled = [pair for pair in variants if sum(pair)]

    result = same_shares(one, other)

    if not sum(one) or not sum(other) or len(filled) < 2:
        assert result is None
        return
    expected = oracle.chi2_contingency(list(zip(*filled, strict=True)), correction=False)
    assert result is not None
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-6)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 90)), min_size=2, max_size=6))
def test_chi_square__any_counts__equals_scipy(variants: list[tuple[int, int]]) -> None:
    counts, weights = zip(*variants, strict=True)

    result = chi_square(counts, weights)

    if sum(counts) == 0:
        assert result is None
    else:
        expected = oracle.chisquare(counts, numpy.array(weights) * sum(counts) / sum(weights))
        assert result == pytest.approx(tuple(expected), rel=1e-8, abs=1e-9)


def test_chi_square__variant_without_weight__takes_no_degree_of_freedom() -> None:
    assert chi_square((50, 70, 3), (1, 1, 0)) == chi_square((50, 70), (1, 1))
    assert chi_square((50,), (1,)) is None


@pytest.mark.parametrize(("weight", "factor"), [(100, 1.04), (10_000, 7.06)])
def test_log_multinomial_e__cookie_cats__gives_the_published_factors(weight: float, factor: float) -> None:
    log_e = log_multinomial_e(COOKIE_CATS, (1, 1), dirichlet_weight=weight)

    assert round(math.exp(log_e), 2) == factor


def test_log_multinomial_e__two_variants__equals_the_beta_binomial_of_scipy() -> None:
    counts, shares = (700, 400), (0.6, 0.4)

    log_e = log_multinomial_e(counts, (3, 2))

    expected = special.betaln(60 + 700, 40 + 400) - special.betaln(60, 40)
    assert log_e == pytest.approx(expected - 700 * math.log(shares[0]) - 400 * math.log(shares[1]))


@given(st.lists(st.integers(0, 200), min_size=3, max_size=3))
def test_log_multinomial_e__one_more_unit__is_a_fair_bet_on_the_plan(counts: list[int]) -> None:
    shares = (0.2, 0.3, 0.5)

    after = 0.0
    for position, share in enumerate(shares):
        grown = [count + (place == position) for place, count in enumerate(counts)]
        after += share * math.exp(log_multinomial_e(grown, shares))

    assert after == pytest.approx(math.exp(log_multinomial_e(counts, shares)), rel=1e-8)


def test_log_live_e__days__mixes_as_defined() -> None:
    daily = [(50, 60), (70, 40), (30, 35)]

    log_e = log_live_e(daily, (1, 1))

    since = [(150, 135), (100, 75), (30, 35)]
    start, first, second = (math.exp(log_multinomial_e(counts, (1, 1))) for counts in since)
    assert math.exp(log_e) == pytest.approx(0.8 * start + 0.2 * (first / 2 + second / 6 + 1 / 3))
    assert log_live_e([], (1, 1)) == pytest.approx(0.0)


def test_log_live_e__clean_split_looked_at_daily__seldom_alarms() -> None:
    generator = numpy.random.default_rng(1)
    runs = [generator.binomial(1000, 0.5, 28).tolist() for _ in range(300)]

    alarms = sum(first_alarm(run, 1000) is not None for run in runs)

    assert alarms <= 0.005 * 300


def test_log_live_e__split_of_52_48__is_found_by_15000_units_on_average() -> None:
    generator = numpy.random.default_rng(2)
    runs = [generator.binomial(1000, 0.52, 60).tolist() for _ in range(100)]

    found = [first_alarm(run, 1000) for run in runs]

    days = [day for day in found if day is not None]
    assert len(days) == 100
    assert sum(days) / 100 * 1000 <= 15_000


def test_log_live_e__fault_after_100000_clean_units__is_found_by_4000_more() -> None:
    generator = numpy.random.default_rng(3)
    clean = [(count, 5000 - count) for count in generator.binomial(5000, 0.5, 20).tolist()]

    broken = int(generator.binomial(4000, 0.55))

    assert log_live_e(clean, (1, 1)) < math.log(1 / LIVE_ALPHA)
    assert log_live_e([*clean, (broken, 4000 - broken)], (1, 1)) >= math.log(1 / LIVE_ALPHA)


def test_log_live_e__a_billion_units__stays_finite() -> None:
    assert math.isfinite(log_live_e([(10**9, 1), (0, 10**9)], (1, 1)))


def first_alarm(counts: list[int], daily: int) -> int | None:
    """Return the day (1 or later) at whose end the monitor first alarms."""
    days = [(count, daily - count) for count in counts]
    line = math.log(1 / LIVE_ALPHA)
    return next((day for day in range(1, len(days) + 1) if log_live_e(days[:day], (1, 1)) >= line), None)
