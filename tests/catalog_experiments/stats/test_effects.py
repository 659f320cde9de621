"""Estimates against statsmodels and published numbers."""

from __future__ import annotations

import math

import numpy
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from catalog_experiments.stats.effects import (
    CONTROL_TOUCHES_ZERO,
    NO_CONTROL,
    NO_DENOMINATOR,
    TOO_FEW,
    difference,
    fixed_half_width,
    lift_by_inversion,
    newcombe_interval,
    ratio,
    ratio_difference,
    relative_lift,
    two_proportion_z,
    wilson_interval,
)
from catalog_experiments.stats.moments import JointMoments, VariantMoments
from catalog_experiments.stats.sequential import sequential_half_width

COUNTS = [(1, 10, 2, 12), (56, 70, 48, 80), (8279, 45_489, 8502, 44_700), (0, 50, 3, 50)]
gate_40 = VariantMoments.of_counts(8279, 45_489)
gate_30 = VariantMoments.of_counts(8502, 44_700)


def variants(counts: tuple[int, int, int, int]) -> tuple[VariantMoments, VariantMoments]:
    return VariantMoments.of_counts(*counts[:2]), VariantMoments.of_counts(*counts[2:])


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (3, 40), (10**8, 10**9)])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_wilson_interval__any_counts__equals_statsmodels(successes: int, n: int, alpha: float) -> None:
    interval = wilson_interval(successes, n, alpha)

    expected = proportion_confint(successes, n, alpha, method="wilson")
    assert interval == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("counts", COUNTS)
def test_two_proportion_z__any_counts__equals_statsmodels(counts: tuple[int, int, int, int]) -> None:
    result = two_proportion_z(*variants(counts))

    expected = proportions_ztest(counts[::2], counts[1::2])
    assert result == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", COUNTS)
def test_newcombe_interval__any_counts__equals_statsmodels(counts: tuple[int, int, int, int]) -> None:
    interval = newcombe_interval(*variants(counts))

    assert interval == pytest.approx(confint_proportions_2indep(*counts, method="newcomb"), abs=1e-9)


def test_two_proportion_z__cookie_cats__gives_the_published_numbers() -> None:
    result = two_proportion_z(gate_40, gate_30)

    assert result is not None
    assert (round(result.z, 4), round(result.p_value, 5)) == (-3.1644, 0.00155)


def test_two_proportion_z__nothing_to_tell_apart__is_none() -> None:
    assert two_proportion_z(VariantMoments(), gate_30) is None
    assert two_proportion_z(*variants((5, 5, 7, 7))) is None


def test_difference__two_samples__equals_welch_of_statsmodels() -> None:
    generator = numpy.random.default_rng(7)
    test, control = generator.poisson(30, 400).tolist(), generator.poisson(28, 300).tolist()

    estimate = difference(VariantMoments.of(test), VariantMoments.of(control), fixed_half_width(0.05))

    compared = CompareMeans(DescrStatsW(test), DescrStatsW(control))
    assert estimate.value == pytest.approx(numpy.mean(test) - numpy.mean(control))
    assert estimate.standard_error == pytest.approx(compared.std_meandiff_separatevar)
    assert estimate.interval == pytest.approx(compared.zconfint_diff(usevar="unequal"), rel=1e-6)


def test_difference__part_of_the_control_retained__is_the_drop_contrast() -> None:
    estimate = difference(*variants((90, 1000, 100, 1000)), fixed_half_width(0.05), retained=0.8)

    assert estimate.value == pytest.approx(0.09 - 0.8 * 0.1)
    assert estimate.standard_error == pytest.approx(math.sqrt(0.09 * 0.91 / 999 + 0.64 * 0.1 * 0.9 / 999))


def test_relative_lift__large_samples__agrees_with_a_simulation_of_the_ratio() -> None:
    generator = numpy.random.default_rng(11)
    drawn = generator.binomial(20_000, 0.12, 40_000) / generator.binomial(20_000, 0.10, 40_000) - 1

    lift = relative_lift(*variants((2400, 20_000, 2000, 20_000)))

    assert lift.value == pytest.approx(0.2)
    assert lift.standard_error == pytest.approx(float(drawn.std()), rel=0.02)


def test_lift_by_inversion__interval__holds_exactly_the_contrasts_that_contain_zero() -> None:
    test, control = variants((240, 2000, 200, 2000))
    half_width = sequential_half_width(4000, 0.05)

    lift = lift_by_inversion(test, control, half_width)

    assert lift.interval is not None
    for end, inside in ((lift.interval.lower, 1e-6), (lift.interval.upper, -1e-6)):
        for shift, is_inside in ((inside, True), (-inside, False)):
            contrast = difference(test, control, half_width, retained=1 + end + shift)
            assert contrast.interval is not None
            assert contrast.interval.excludes(0) is not is_inside


def test_lift_by_inversion__control_near_zero__keeps_the_value_and_gives_the_reason() -> None:
    lift = lift_by_inversion(*variants((5, 100, 1, 100)), fixed_half_width(0.05))

    assert lift.value == pytest.approx(4.0)
    assert (lift.interval, lift.reason) == (None, CONTROL_TOUCHES_ZERO)


def test_lift__undefined__says_why() -> None:
    no_control, one_unit = variants((5, 100, 0, 100)), variants((1, 1, 1, 1))

    assert relative_lift(*no_control).reason == NO_CONTROL
    assert lift_by_inversion(*no_control, fixed_half_width(0.05)).reason == NO_CONTROL
    assert relative_lift(*one_unit).reason == TOO_FEW
    assert difference(*one_unit, fixed_half_width(0.05)).reason == TOO_FEW


def test_ratio__revenue_per_order__agrees_with_a_bootstrap() -> None:
    generator = numpy.random.default_rng(3)
    orders = generator.poisson(2, 1500) + 1
    revenue = orders * 20 + generator.normal(0, 10, 1500)
    units = list(zip(revenue.tolist(), orders.tolist(), strict=True))
    draws = generator.integers(0, 1500, (4000, 1500))

    estimate = ratio(JointMoments.of(units), fixed_half_width(0.05))

    resampled = revenue[draws].sum(axis=1) / orders[draws].sum(axis=1)
    assert estimate.value == pytest.approx(revenue.sum() / orders.sum())
    assert estimate.standard_error == pytest.approx(float(resampled.std()), rel=0.05)


def test_ratio_difference__one_side_undefined__says_why() -> None:
    full = JointMoments.of([(1, 1), (2, 1), (3, 2)])

    assert ratio_difference(full, JointMoments(), fixed_half_width(0.05)).reason == NO_DENOMINATOR
    assert ratio_difference(JointMoments.of([(1, 1)]), full, fixed_half_width(0.05)).reason == TOO_FEW
    assert ratio_difference(full, full, fixed_half_width(0.05)).value == 0
