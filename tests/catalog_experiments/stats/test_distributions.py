"""Distribution functions against scipy."""

from __future__ import annotations

import math

import pytest
from scipy import special
from scipy import stats as oracle

from catalog_experiments.stats.distributions import (
    chi2_sf,
    log_beta,
    logsumexp,
    normal_cdf,
    normal_density,
    normal_quantile,
    two_sided_p,
)


@pytest.mark.parametrize("degrees", range(1, 12))
@pytest.mark.parametrize("statistic", [0.0, 0.01, 1.0, 6.9024, 40.0, 900.0])
def test_chi2_sf__any_degrees__equals_scipy(statistic: float, degrees: int) -> None:
    assert chi2_sf(statistic, degrees) == pytest.approx(oracle.chi2.sf(statistic, degrees), rel=1e-10, abs=1e-300)


@pytest.mark.parametrize(("statistic", "degrees"), [(-1.0, 1), (1.0, 0)])
def test_chi2_sf__impossible__raises(statistic: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        chi2_sf(statistic, degrees)


@pytest.mark.parametrize("x", [-37.0, -5.0, -1.0, 0.0, 0.5, 8.0])
def test_normal__tails_and_middle__equal_scipy(x: float) -> None:
    assert normal_cdf(x) == pytest.approx(oracle.norm.cdf(x), rel=1e-10)
    assert normal_density(x) == pytest.approx(oracle.norm.pdf(x), rel=1e-12)
    assert two_sided_p(x) == pytest.approx(2 * oracle.norm.sf(abs(x)), rel=1e-10)


@pytest.mark.parametrize("probability", [1e-9, 0.025, 0.5, 0.995])
def test_normal_quantile__equals_scipy(probability: float) -> None:
    assert normal_quantile(probability) == pytest.approx(oracle.norm.ppf(probability), rel=1e-8, abs=1e-12)


def test_log_beta__large_and_small__equals_scipy() -> None:
    for a, b in ((1, 1), (0.5, 3), (1e6, 3e6)):
        assert log_beta(a, b) == pytest.approx(special.betaln(a, b), rel=1e-9)


def test_logsumexp__extremes__neither_overflow_nor_vanish() -> None:
    assert logsumexp([1e6, 1e6]) == pytest.approx(1e6 + math.log(2))
    assert logsumexp([-1e6, -math.inf]) == -1e6
    assert logsumexp([]) == -math.inf
