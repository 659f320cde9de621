"""CUPED: less variance, no bias, strata of their own, and the same answer as a regression."""

from __future__ import annotations

import numpy
import pytest

from catalog_experiments.stats.cuped import Stratum, adjusted_difference
from catalog_experiments.stats.effects import TOO_FEW, fixed_half_width
from catalog_experiments.stats.moments import JointMoments

half_width = fixed_half_width(0.05)


def draw(generator: numpy.random.Generator, n: int, *, effect: float, slope: float) -> JointMoments:
    past = generator.gamma(2, 10, n)
    outcome = slope * past + effect + generator.normal(0, 10, n)
    return JointMoments.of(zip(outcome.tolist(), past.tolist(), strict=True))


def test_adjusted_difference__correlated_past__halves_the_variance_and_keeps_the_effect() -> None:
    generator = numpy.random.default_rng(4)
    stratum = Stratum(draw(generator, 20_000, effect=1.0, slope=1.0), draw(generator, 20_000, effect=0.0, slope=1.0))

    estimate, reduction = adjusted_difference([stratum], half_width)

    assert estimate.value == pytest.approx(1.0, abs=4 * 0.1)
    assert estimate.standard_error == pytest.approx(0.1, rel=0.05)
    assert reduction == pytest.approx(200 / 300, abs=0.02)


def test_adjusted_difference__one_stratum__equals_the_regression_on_variant_and_past() -> None:
    generator = numpy.random.default_rng(9)
    past = generator.gamma(2, 10, 400)
    is_test = numpy.arange(400) < 150
    outcome = 0.7 * past + 2 * is_test + generator.normal(0, 5, 400)
    units = list(zip(outcome.tolist(), past.tolist(), strict=True))

    adjustment = adjusted_difference([Stratum(JointMoments.of(units[:150]), JointMoments.of(units[150:]))], half_width)

    design = numpy.column_stack([numpy.ones(400), is_test, past])
    coefficients = numpy.linalg.lstsq(design, outcome, rcond=None)[0]
    assert adjustment.estimate.value == pytest.approx(coefficients[1])


def test_adjusted_difference__no_history_stratum__is_weighed_by_its_size() -> None:
    known = Stratum(JointMoments.of([(3, 1), (5, 2), (7, 3)]), JointMoments.of([(2, 1), (4, 2), (6, 3)]))
    unknown = Stratum(JointMoments.of([(2, 0), (4, 0)]), JointMoments.of([(0, 0), (2, 0)]))

    adjustment = adjusted_difference([known, unknown], half_width)

    assert adjustment.estimate.value == pytest.approx(0.6 * 1 + 0.4 * 2)


def test_adjusted_difference__too_few_units__says_so() -> None:
    single = JointMoments.of([(1, 1)])

    assert adjusted_difference([Stratum(single, single)], half_width).estimate.reason == TOO_FEW
    assert adjusted_difference([], half_width).variance_reduction is None


def test_adjusted_difference__intervals__cover_the_truth_as_often_as_stated() -> None:
    generator = numpy.random.default_rng(12)

    covered = 0
    for _ in range(400):
        test = draw(generator, 300, effect=0.5, slope=0.8)
        estimate = adjusted_difference(
            [Stratum(test, draw(generator, 300, effect=0.0, slope=0.8))], half_width
        ).estimate
        covered += estimate.interval is not None and not estimate.interval.excludes(0.5)

    assert 0.92 <= covered / 400 <= 0.98
