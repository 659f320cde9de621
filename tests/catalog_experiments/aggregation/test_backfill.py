"""Past days are reconstructed from facts; what is right already stays untouched."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments.aggregation import BundleAcceptanceAggregator, InvalidLookback, backfill
from catalog_experiments.intake import ExposureEvent, record_exposures
from catalog_experiments.models import Experiment, ExperimentStatus, Phase, PhaseOrigin, VariantMetric
from catalog_experiments.privacy import erase_unit, find_person
from tests.builders import NOON, make_experiment
from tests.catalog_experiments.aggregation.test_runs import DAY, HOUR, buy, expose, make_measured

pytestmark = pytest.mark.django_db

NOW = NOON + 3 * DAY


def three_days() -> Experiment:
    """Make an experiment with two buyers on its first day and one on its third."""
    experiment = make_measured()
    expose(experiment, "control", "c1", "c2")
    expose(experiment, "test", "t1")
    expose(experiment, "test", "t2", at=NOON + 2 * DAY)
    buy("c1")
    buy("t1")
    buy("t2", at=NOON + 2 * DAY + HOUR, took=False)
    return experiment


def rows(key: str) -> list[tuple[Any, ...]]:
    kept = VariantMetric.objects.filter(variant__key=key).order_by("window_start")
    return list(
        kept.values_list("window_start__day", "acceptance_count", "sample_size", "exposed_count", "lookback_days")
    )


def metadata(key: str) -> list[tuple[int, dict[str, Any]]]:
    kept = VariantMetric.objects.filter(variant__key=key).order_by("window_start")
    return list(kept.values_list("window_start__day", "metadata"))


def test_backfill__writes_a_row_for_each_day_as_it_ended() -> None:
    three_days()

    result = backfill(lookback_days=30, now=NOW)

    assert (result.created, result.changed, result.unchanged) == (8, 0, 0)
    assert rows("test") == [(2, 1, 1, 1, 1), (3, 1, 1, 1, 1), (4, 1, 2, 2, 2), (5, 1, 2, 2, 3)]
    assert rows("control") == [(day, 1, 1, 2, max(1, day - 2)) for day in (2, 3, 4, 5)]


def test_backfill__run_again__changes_nothing() -> None:
    three_days()
    backfill(lookback_days=30, now=NOW)
    before = list(VariantMetric.objects.order_by("pk").values())

    again = backfill(lookback_days=30, now=NOW + HOUR)

    assert (again.created, again.changed, again.unchanged, again.diffs) == (0, 0, 8, ())
    assert list(VariantMetric.objects.order_by("pk").values()) == before


def test_backfill__after_live_runs__agrees_with_them() -> None:
    experiment = make_measured()
    expose(experiment, "test", "t1", "t2")
    for day in range(3):
        buy("t1" if day == 0 else "t2", at=NOON + day * DAY + HOUR, took=day == 0)
        BundleAcceptanceAggregator().recompute(now=NOON + day * DAY + 2 * HOUR)

    result = backfill(lookback_days=30, now=NOON + 2 * DAY + 2 * HOUR)

    assert (result.created, result.changed, result.unchanged) == (0, 0, 6)


def test_backfill__repairs_a_day_that_facts_reached_late__and_says_what_changed() -> None:
    experiment = make_measured()
    expose(experiment, "test", "t1", "t2")
    buy("t1")
    BundleAcceptanceAggregator().recompute(now=NOON + 2 * HOUR)
    buy("t2", took=False)

    result = backfill(lookback_days=30, now=NOON + 2 * HOUR)

    assert (result.created, result.changed, result.unchanged) == (0, 1, 1)
    assert result.diffs == ("2026-03-02 cup-saucer/test: acceptance_rate 1.0000 -> 0.5000, sample_size 1 -> 2",)
    assert rows("test") == [(2, 1, 2, 2, 1)]


def test_backfill__of_revised_units__counts_them_as_a_run_does() -> None:
    experiment = make_measured()
    expose(experiment, "test", "t1", "t2")
    buy("t1")
    BundleAcceptanceAggregator().recompute(now=NOON + 2 * HOUR)
    buy("t1", status="cancelled", cancelled_at=NOON + DAY)
    BundleAcceptanceAggregator().recompute(now=NOON + DAY)
    buy("t2", at=NOON + DAY)

    backfill(lookback_days=30, now=NOON + DAY)

    reconstructed = metadata("test")
    assert [(day, told["revised_count"]) for day, told in reconstructed] == [(2, 1), (3, 1)]
    BundleAcceptanceAggregator().recompute(now=NOON + DAY)
    assert metadata("test") == reconstructed


def test_backfill__of_units_left_out_since__says_so_though_no_figure_changed() -> None:
    experiment = make_measured()
    expose(experiment, "test", "t1")
    BundleAcceptanceAggregator().recompute(now=NOON + 2 * HOUR)
    event = ExposureEvent(experiment.slug, "crawler", "test", NOON, traffic="bot")
    record_exposures([event], now=NOON + 2 * HOUR)

    result = backfill(lookback_days=30, now=NOON + 2 * HOUR)

    assert (result.changed, result.unchanged) == (1, 1)
    assert result.diffs[0].startswith("2026-03-02 cup-saucer/test: excluded_counts {")
    assert metadata("test")[0][1]["excluded_counts"] == {"bot": 1, "staff": 0, "test": 0}
    assert backfill(lookback_days=30, now=NOON + 2 * HOUR).changed == 0


def test_backfill__after_a_unit_was_erased__leaves_what_was_counted_with_it() -> None:
    three_days()
    BundleAcceptanceAggregator().recompute(now=NOW)
    backfill(lookback_days=30, now=NOW)
    before = list(VariantMetric.objects.order_by("pk").values())

    erase_unit(find_person("t1", follow_aliases=True), actor="user:mara", now=NOW)
    again = backfill(lookback_days=30, now=NOW)

    assert (again.created, again.changed, again.unchanged) == (0, 0, 8)
    assert list(VariantMetric.objects.order_by("pk").values()) == before


def test_backfill__as_a_dry_run__only_reads() -> None:
    three_days()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        result = backfill(lookback_days=30, now=NOW, dry_run=True)

    assert result.created == 8
    assert result.diffs[0] == "2026-03-02 cup-saucer/control: created, 1/1 of 2 exposed"
    assert not VariantMetric.objects.exists()
    statements = [query["sql"].lstrip("( \n") for query in queries]
    written = [text for text in statements if text.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert written == []


def test_backfill__of_a_short_lookback__leaves_older_days_alone() -> None:
    three_days()

    backfill(lookback_days=1, now=NOW)

    assert [row[0] for row in rows("test")] == [4, 5]


def test_backfill__of_one_experiment__leaves_the_others_alone() -> None:
    three_days()
    make_measured(slug="other")

    backfill(lookback_days=30, now=NOW, slug="other")

    assert set(VariantMetric.objects.values_list("experiment__slug", flat=True)) == {"other"}


def test_backfill__of_a_closed_phase__ends_with_it() -> None:
    three_days()
    Experiment.objects.update(status=ExperimentStatus.COMPLETED)
    Phase.objects.update(closed_at=NOON + DAY)

    backfill(lookback_days=30, now=NOW)

    assert [row[0] for row in rows("test")] == [2, 3]


def test_backfill__leaves_drafts_and_seeded_experiments_alone() -> None:
    make_experiment(slug="draft")
    three_days()
    Phase.objects.update(origin=PhaseOrigin.SEEDED)

    result = backfill(lookback_days=30, now=NOW)

    assert (result.created, VariantMetric.objects.count()) == (0, 0)


def test_backfill__with_a_senseless_lookback__is_refused() -> None:
    with pytest.raises(InvalidLookback):
        backfill(lookback_days=0, now=NOW)
