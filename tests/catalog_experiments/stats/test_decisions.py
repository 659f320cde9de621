"""Decisions: early by the sequence and not in the first week, finally by the fixed method, Holm over the variants."""

import datetime as dt
import math

import pytest
from statsmodels.stats.proportion import proportions_ztest

from catalog_experiments.stats.decisions import Declared, Occasion, Stage, decide
from catalog_experiments.stats.effects import difference
from catalog_experiments.stats.moments import VariantMoments
from catalog_experiments.stats.multiplicity import holm
from catalog_experiments.stats.sequential import sequential_half_width

DAY = dt.timedelta(days=1)
CONTROL = VariantMoments.of_counts(500, 5_000)


def occasion(stage: Stage, *, age: dt.timedelta = 8 * DAY, is_rate: bool = True) -> Occasion:
    return Occasion(stage, age, planned_units=10_000, is_rate=is_rate)


@pytest.mark.parametrize(
    ("accepted", "age", "declared"),
    [
        (650, 7 * DAY, Declared.BETTER),
        (650, 7 * DAY - dt.timedelta(seconds=1), Declared.NOTHING),
        (350, 7 * DAY, Declared.WORSE),
        (350, dt.timedelta(hours=1), Declared.WORSE),
        (520, 7 * DAY, Declared.NOTHING),
    ],
)
def test_decide__early__a_better_variant_waits_a_week_a_worse_one_does_not(
    accepted: int, age: dt.timedelta, declared: Declared
) -> None:
    test = VariantMoments.of_counts(accepted, 5_000)

    [decision] = decide(CONTROL, [test], occasion(Stage.EARLY, age=age))

    assert decision.declared == declared


@pytest.mark.parametrize("accepted", range(520, 620, 5))
def test_decide__early__declares_exactly_when_the_sequence_excludes_zero(accepted: int) -> None:
    test = VariantMoments.of_counts(accepted, 5_000)

    [decision] = decide(CONTROL, [test], occasion(Stage.EARLY))

    interval = difference(test, CONTROL, sequential_half_width(10_000, 0.01)).interval
    assert interval is not None
    assert (decision.declared == Declared.BETTER) == interval.excludes(0)


def test_decide__final_rate__is_the_pooled_test_at_four_per_cent() -> None:
    below, above = VariantMoments.of_counts(562, 5_000), VariantMoments.of_counts(564, 5_000)

    decisions = [decide(CONTROL, [test], occasion(Stage.FINAL))[0] for test in (below, above)]

    assert [decision.declared for decision in decisions] == [Declared.NOTHING, Declared.BETTER]
    expected = proportions_ztest([562, 500], [5_000, 5_000])[1]
    assert decisions[0].p_value == pytest.approx(expected, rel=1e-9)


def test_decide__final_money__is_welchs_test() -> None:
    control, test = VariantMoments(1_000, 50_000, 5_000_000), VariantMoments(1_000, 56_000, 6_000_000)

    [decision] = decide(control, [test], occasion(Stage.FINAL, is_rate=False))

    variances = [(own.total_squares - own.total**2 / own.n) / (own.n - 1) for own in (control, test)]
    z = 6.0 / math.sqrt(sum(variances) / 1_000)
    assert decision.p_value == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-9)


def test_decide__several_variants__share_the_error_by_holm() -> None:
    tests = [VariantMoments.of_counts(accepted, 5_000) for accepted in (566, 500, 640)]

    decisions = decide(CONTROL, tests, occasion(Stage.FINAL))

    alone = [decide(CONTROL, [test], occasion(Stage.FINAL))[0] for test in tests]
    assert alone[0].declared == Declared.BETTER
    assert [decision.declared for decision in decisions] == [Declared.NOTHING, Declared.NOTHING, Declared.BETTER]
    assert [decision.p_value for decision in decisions] == list(holm([own.p_value or 1.0 for own in alone]))


@pytest.mark.parametrize("stage", list(Stage))
def test_decide__no_units_or_no_spread__declares_nothing(stage: Stage) -> None:
    empty, flat = VariantMoments(), VariantMoments.of_counts(0, 100)

    decisions = decide(flat, [empty, flat], occasion(stage))

    assert [(decision.declared, decision.p_value) for decision in decisions] == [(Declared.NOTHING, None)] * 2
