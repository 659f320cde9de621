"""The rows of the cards, made from tallies alone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from catalog_experiments.aggregation.metric_rows import update_metric_rows
from catalog_experiments.models import GuardrailTally, VariantMetric
from tests.builders import NOON, make_running_experiment

pytestmark = pytest.mark.django_db


def rows_for(counts: dict[str, tuple[int, int]]) -> dict[str, VariantMetric]:
    """Write the rows of an experiment whose variants have these (orders, accepted), by variant key."""
    experiment = make_running_experiment()
    for key, (n, accepted) in counts.items():
        GuardrailTally.objects.create(
            experiment=experiment,
            phase=experiment.phases.get(),
            variant_key=key,
            outcome_hour_at=NOON,
            n=n,
            accepted=accepted,
            gross_n=n,
            gross_accepted=accepted,
        )
    update_metric_rows([experiment], now=NOON, watermark_at=NOON)
    return {row.variant.key: row for row in VariantMetric.objects.select_related("variant")}


def test_row__enough_orders_in_both__lift_with_its_interval() -> None:
    rows = rows_for({"control": (1_000, 180), "test": (1_000, 95)})

    test = rows["test"]
    assert test.lift_vs_control == Decimal("-0.4722")
    assert test.lift_lower is not None
    assert test.lift_upper is not None
    assert test.lift_lower < test.lift_vs_control < test.lift_upper < 0
    assert (rows["control"].lift_lower, rows["control"].lift_upper) == (None, None)


@pytest.mark.parametrize("counts", [(99, 30), (500, 19)], ids=["few orders", "few takers"])
def test_row__before_the_gate__lift_without_interval(counts: tuple[int, int]) -> None:
    test = rows_for({"control": (1_000, 180), "test": counts})["test"]

    assert test.lift_vs_control is not None
    assert (test.lift_lower, test.lift_upper) == (None, None)
