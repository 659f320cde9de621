"""From odd events to counts: guests, foreign money, orders before their exposure, late ones, refunds, cancellations."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.analysis import Report, VariantReport, analyze
from catalog_experiments.intake import OrderLine, record_exposures
from catalog_experiments.models import BundleAcceptanceMetric, Experiment
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.intake.test_exposures import HOUR, exposure, outcome_of, unit_in
from tests.catalog_experiments.intake.test_orders import CUP, order, record

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
RETURNED = (CUP, OrderLine("saucer", 1, 1000, 400, returned=1))


@pytest.fixture
def experiment() -> Experiment:
    """A running experiment in which one visitor met the test variant an hour after noon."""
    running = make_running_experiment()
    record_exposures([exposure(running)], now=NOON + HOUR)
    return running


def bought(experiment: Experiment, **overrides: Any) -> list[tuple[str, str]]:
    """Report an order of the visitor, two hours after noon: a cup and a saucer for 30.00 EUR."""
    assert experiment.current_phase is not None
    fields = {"unit_id": unit_in(experiment.current_phase, "test"), "placed_at": NOON + 2 * HOUR} | overrides
    return record(order(**fields), now=NOON + 4 * HOUR)


def report_of(experiment: Experiment) -> Report:
    BundleAcceptanceAggregator().recompute(now=NOON + 5 * HOUR)
    return analyze(Experiment.objects.get(pk=experiment.pk), now=NOON + 5 * HOUR)


def figures(variant: VariantReport) -> tuple[int, int, int, dict[str, float | None]]:
    """Return units, first orders, acceptances, and the means of conversion and revenue (minor units)."""
    means = {own.metric: own.mean for own in variant.metrics if own.metric in ("conversion", "revenue")}
    return variant.exposed_count, variant.sample_size, variant.acceptance_count, means


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, (1, 1, 1, {"conversion": 1.0, "revenue": 3000.0})),
        ({"unit_id": None}, (1, 0, 0, {"conversion": 0.0, "revenue": 0.0})),
        ({"unit_id": "somebody-else"}, (1, 0, 0, {"conversion": 0.0, "revenue": 0.0})),
        ({"placed_at": NOON + HOUR - MINUTE}, (1, 0, 0, {"conversion": 0.0, "revenue": 0.0})),
        ({"placed_at": NOON + HOUR}, (1, 1, 1, {"conversion": 1.0, "revenue": 3000.0})),
        ({"currency": "USD"}, (1, 1, 1, {"conversion": 1.0, "revenue": 0.0})),
        ({"status": "pending"}, (1, 0, 0, {"conversion": 0.0, "revenue": 0.0})),
        ({"status": "cancelled"}, (1, 0, 0, {"conversion": 0.0, "revenue": 0.0})),
        ({"refunded_minor": 500}, (1, 1, 1, {"conversion": 1.0, "revenue": 2500.0})),
        ({"lines": RETURNED, "refunded_minor": 1000}, (1, 1, 0, {"conversion": 1.0, "revenue": 2000.0})),
        ({"lines": (CUP,)}, (1, 1, 0, {"conversion": 1.0, "revenue": 2000.0})),
    ],
    ids=[
        "guest with a unit",
        "without unit",
        "of a unit that met nothing",
        "before its exposure",
        "in the moment of its exposure",
        "in another currency",
        "not paid yet",
        "cancelled",
        "refunded in part",
        "a component came back",
        "without the bundle",
    ],
)
def test_order__has_one_defined_outcome(
    experiment: Experiment, overrides: dict[str, Any], expected: tuple[int, int, int, dict[str, float]]
) -> None:
    assert bought(experiment, **overrides) == [("accepted", "")]

    assert figures(report_of(experiment).variants[1]) == expected


def test_order__in_another_currency__is_counted_out_and_said(experiment: Experiment) -> None:
    bought(experiment, currency="USD")

    report = report_of(experiment)

    assert report.quality is not None
    assert report.quality.foreign_orders == 1
    assert report.notes == ("orders in USD are left out of the money metrics",)


def test_order__without_unit__still_feeds_the_acceptance_of_its_bundle(experiment: Experiment) -> None:
    bought(experiment, unit_id=None)

    report_of(experiment)

    assert {(row.sample_size, row.acceptance_count) for row in BundleAcceptanceMetric.objects.all()} == {(1, 1)}


def test_order__told_before_its_exposure__counts_once_that_is_told() -> None:
    experiment = make_running_experiment()
    bought(experiment)
    before = report_of(experiment).variants[1]

    record_exposures([exposure(experiment)], now=NOON + 4 * HOUR)
    after = report_of(experiment).variants[1]

    assert (before.exposed_count, before.sample_size) == (0, 0)
    assert (after.exposed_count, after.sample_size) == (1, 1)


def test_order__cancelled_later__leaves_the_counts_as_a_revision(experiment: Experiment) -> None:
    bought(experiment)
    before = report_of(experiment).variants[1]

    bought(experiment, status="cancelled", cancelled_at=NOON + 3 * HOUR)
    after = report_of(experiment).variants[1]

    assert (before.sample_size, before.acceptance_count) == (1, 1)
    assert (after.sample_size, after.acceptance_count) == (0, 0)


@pytest.mark.parametrize(
    ("age", "outcome"),
    [
        (dt.timedelta(0), ("accepted", "")),
        (30 * DAY, ("accepted", "")),
        (30 * DAY + MINUTE, ("rejected", "too_late")),
        (-5 * MINUTE, ("accepted", "clamped")),
        (-6 * MINUTE, ("rejected", "future")),
    ],
    ids=["now", "thirty days late", "later", "five minutes early", "earlier"],
)
def test_exposure_and_order__late_or_early__are_taken_within_limits(
    age: dt.timedelta, outcome: tuple[str, str]
) -> None:
    experiment = make_running_experiment(now=NOON - 40 * DAY)

    assert outcome_of(exposure(experiment, exposed_at=NOON - age), now=NOON) == outcome
    assert record(order(placed_at=NOON - age), now=NOON) == [outcome]
