"""Confidence sequences: their equations written down again, duality, coverage and extremes."""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from catalog_experiments.stats.sequential import (
    always_valid_p,
    asymptotic_half_width,
    asymptotic_p,
    beta_binomial_sequence,
    sequential_half_width,
    tuning_rho,
)


@pytest.mark.parametrize(("accepted", "n", "a", "b"), [(100, 1000, 1, 1), (3, 50, 20, 180), (990, 1000, 1, 1)])
def test_beta_binomial_sequence__counts__ends_where_scipy_finds_the_roots(
    accepted: int, n: int, a: int, b: int
) -> None:
    interval = beta_binomial_sequence(accepted, n, 0.05, a=a, b=b)

    def log_excess(rate: float) -> float:
        mixed = special.betaln(a + accepted, b + n - accepted) - special.betaln(a, b)
        return float(mixed - special.xlogy(accepted, rate) - special.xlog1py(n - accepted, -rate) - math.log(20))

    rate = accepted / n
    assert interval.lower == pytest.approx(optimize.brentq(log_excess, 1e-12, rate), rel=1e-6)
    assert interval.upper == pytest.approx(optimize.brentq(log_excess, rate, 1 - 1e-12), rel=1e-6)


@pytest.mark.parametrize("n", [1, 1000, 10**9])
def test_beta_binomial_sequence__none_or_all_accepted__touches_its_end(n: int) -> None:
    assert beta_binomial_sequence(0, n, 0.05).lower == 0.0
    assert beta_binomial_sequence(n, n, 0.05).upper == 1.0
    assert beta_binomial_sequence(0, 0, 0.05) == (0.0, 1.0)


def test_beta_binomial_sequence__looked_at_all_the_time__seldom_misses_the_rate() -> None:
    generator = numpy.random.default_rng(5)
    paths = generator.binomial(20, 0.1, (300, 100)).cumsum(axis=1)

    missed = sum(
        any(beta_binomial_sequence(int(path[look]), 20 * (look + 1), 0.05).excludes(0.1) for look in range(0, 100, 4))
        for path in paths
    )

    assert missed <= 0.06 * 300


def test_asymptotic_half_width__two_sides__is_equation_9() -> None:
    n, rho, alpha, variance = 4000, 0.03, 0.05, 2.5

    half = asymptotic_half_width(math.sqrt(variance / n), n, rho=rho, alpha=alpha)

    inner = 2 * (n * rho**2 + 1) / (n * rho) ** 2 * math.log(math.sqrt(n * rho**2 + 1) / alpha)
    assert half == pytest.approx(math.sqrt(variance * inner))


def test_asymptotic_half_width__one_side__is_equation_134_and_narrower() -> None:
    n, rho, alpha = 4000, 0.03, 0.05

    half = asymptotic_half_width(0.01, n, rho=rho, alpha=alpha, one_sided=True)

    inner = 2 * (n * rho**2 + 1) / (n * rho**2) * math.log(1 + math.sqrt(n * rho**2 + 1) / (2 * alpha))
    assert half == pytest.approx(0.01 * math.sqrt(inner))
    assert half < asymptotic_half_width(0.01, n, rho=rho, alpha=alpha)


def test_tuning_rho__planned_sample__is_near_the_narrowest() -> None:
    tuned = tuning_rho(5000, 0.05)

    widths = [asymptotic_half_width(1.0, 5000, rho=rho, alpha=0.05) for rho in (tuned / 2, tuned, tuned * 2)]

    assert min(widths) == widths[1]


@given(st.floats(-0.2, 0.2), st.floats(0.001, 0.1), st.integers(1, 10**9), st.floats(0.001, 0.2))
def test_asymptotic_p__any_estimate__agrees_with_the_interval(
    estimate: float, standard_error: float, n: int, alpha: float
) -> None:
    rho = tuning_rho(5000, 0.05)

    p_value = asymptotic_p(estimate, standard_error, n, rho=rho)

    half = asymptotic_half_width(standard_error, n, rho=rho, alpha=alpha)
    if abs(abs(estimate) - half) > 1e-9 * half:
        assert (p_value <= alpha) is (abs(estimate) >= half)


def test_sequential_half_width__a_a_looked_at_all_the_time__seldom_differs() -> None:
    generator = numpy.random.default_rng(20_250_510)
    runs, looks, step = 400, 120, 100
    counts = generator.binomial(step, 0.1, (2, runs, looks)).cumsum(axis=2)
    half_width = sequential_half_width(2 * looks * step, 0.05)

    different = 0
    for run in range(runs):
        for look in range(2, looks):
            n, test, control = step * (look + 1), counts[0, run, look], counts[1, run, look]
            spread = test * (n - test) / n**3 + control * (n - control) / n**3
            if abs(test - control) / n > half_width(math.sqrt(spread), 2 * n):
                different += 1
                break

    assert different <= 0.05 * runs


def test_sequence__no_units_or_spread__says_nothing() -> None:
    assert asymptotic_half_width(0.1, 0, rho=0.04, alpha=0.05) == math.inf
    assert asymptotic_p(0.1, 0.0, 100, rho=0.04) == 1.0
    assert asymptotic_p(0.1, 0.1, 0, rho=0.04) == 1.0


def test_always_valid_p__huge_evidence__underflows_to_zero() -> None:
    assert always_valid_p(1e9) == 0.0
    assert always_valid_p(-1e9) == 1.0
