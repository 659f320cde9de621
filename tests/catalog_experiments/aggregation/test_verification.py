"""The full pass finds nothing where runs were right, puts right what was wrong, and says so."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.models import (
    AggregationCursor,
    BundleAcceptanceHour,
    Cohort,
    Exposure,
    GuardrailTally,
    Moment,
    OpenUnit,
    Phase,
)
from catalog_experiments.scheduling import VERIFICATION, run_now
from notifications.models import Alert
from tests.builders import NOON
from tests.catalog_experiments.aggregation.test_runs import DAY, buy, expose, make_measured

pytestmark = pytest.mark.django_db

NOW = NOON + 3 * DAY


def count_all() -> None:
    """Bring everything up to date, and let nothing be news any more, which a refresh would put right itself."""
    BundleAcceptanceAggregator().recompute(now=NOW)
    AggregationCursor.objects.update(recorded_to=timezone.now() + DAY)


def three_days() -> None:
    experiment = make_measured()
    for day in range(3):
        expose(experiment, "control", f"c{day}", at=NOON + day * DAY)
        expose(experiment, "test", f"t{day}", at=NOON + day * DAY)
        buy(f"c{day}", at=NOON + day * DAY + dt.timedelta(hours=1))
        BundleAcceptanceAggregator().recompute(now=NOON + day * DAY + dt.timedelta(hours=2))
    buy("t0", at=NOON + 2 * DAY, took=False)


def test_verify__after_right_runs__finds_no_difference() -> None:
    three_days()

    found = BundleAcceptanceAggregator().verify(now=NOW)

    assert (found.phases, found.corrected, found.retired, found.erased) == (1, 0, 0, 0)
    assert found.cohorts == 3


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (GuardrailTally, {"gross_n": F("gross_n") + 1}),
        (GuardrailTally, {"revised": F("revised") + 1}),
        (Cohort, {"revenue": F("revenue") + 1}),
        (Moment, {"total": F("total") + 1}),
        (OpenUnit, {"revenue": F("revenue") + 1}),
        (BundleAcceptanceHour, {"sample_size": F("sample_size") + 1}),
    ],
)
def test_verify__of_numbers_that_are_wrong__puts_them_right_and_says_how_many(
    model: type[Any], changes: dict[str, Any]
) -> None:
    three_days()
    count_all()
    rows = model.objects.order_by("pk")
    before = list(rows.values())
    model.objects.filter(pk=rows.first().pk).update(**changes)

    found = BundleAcceptanceAggregator().verify(now=NOW)

    assert found.corrected >= 1
    order = [name for name in before[0] if name != "id"]
    assert _sorted(rows.values(), order) == _sorted(before, order)
    assert BundleAcceptanceAggregator().verify(now=NOW).corrected == 0


def test_verify__leaves_retired_phases_alone() -> None:
    three_days()
    count_all()
    before = list(Cohort.objects.order_by("pk").values()), list(GuardrailTally.objects.order_by("pk").values())
    Exposure.objects.all().delete()
    Phase.objects.update(facts_retired_at=NOW)

    retired = BundleAcceptanceAggregator().verify(now=NOW)

    assert (retired.phases, retired.retired, retired.corrected) == (0, 1, 0)
    after = list(Cohort.objects.order_by("pk").values()), list(GuardrailTally.objects.order_by("pk").values())
    assert after == before


def test_job__that_had_to_correct__is_in_the_ledger_and_alerts_once() -> None:
    three_days()
    count_all()
    Moment.objects.filter(metric="revenue").update(total=1)

    result = run_now(VERIFICATION, now=NOW)
    again = run_now(VERIFICATION, now=NOW + dt.timedelta(minutes=1))

    assert result.counts["corrected"] > 0
    assert again.counts["corrected"] == 0
    assert [alert.kind for alert in Alert.objects.all()] == ["aggregates_corrected"]


def _sorted(rows: Iterable[dict[str, object]], order: list[str]) -> list[str]:
    return sorted(str([row[name] for name in order]) for row in rows)
