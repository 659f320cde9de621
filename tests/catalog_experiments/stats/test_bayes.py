"""The Bayesian view against integration by scipy."""

from __future__ import annotations

import math

import pytest
from scipy import integrate
from scipy import stats as oracle

from catalog_experiments.stats.bayes import posterior


@pytest.mark.parametrize(("lift", "error", "prior"), [(0.1, 0.05, 0.3), (-0.02, 0.1, 0.05), (0.4, 0.2, math.inf)])
def test_posterior__losses_and_chance__equal_integration(lift: float, error: float, prior: float) -> None:
    view = posterior(lift, error, prior_deviation=prior)

    assert view is not None
    belief = oracle.norm(view.mean, view.standard_deviation)
    assert view.chance_to_win == pytest.approx(belief.sf(0))
    assert view.loss_if_shipped == pytest.approx(integrate.quad(lambda x: -x * belief.pdf(x), -3, 0)[0], abs=1e-8)
    assert view.loss_if_kept == pytest.approx(integrate.quad(lambda x: x * belief.pdf(x), 0, 3)[0], abs=1e-8)


def test_posterior__proper_prior__pulls_the_lift_towards_it() -> None:
    view = posterior(0.3, 0.1, prior_deviation=0.1)

    assert view is not None
    assert view.mean == pytest.approx(0.15)
    assert view.standard_deviation == pytest.approx(0.1 / math.sqrt(2))


def test_posterior__no_spread__is_none() -> None:
    assert posterior(0.1, 0.0) is None
