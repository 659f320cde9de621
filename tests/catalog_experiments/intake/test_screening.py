"""Bots, staff and tests: kept with their reason, in any order of the reports, and out of every count."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from catalog_experiments.admin.trust import all_units, left_out_text, trust_rows, unit_rows
from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.analysis import Report, analyze
from catalog_experiments.intake import ExposureEvent, OrderEvent, record_exposures, record_orders
from catalog_experiments.models import BundleAcceptanceMetric, Experiment, Exposure, Order
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.intake.test_exposures import HOUR, computed_variant, exposure, outcome_of
from tests.catalog_experiments.intake.test_orders import order, record

pytestmark = pytest.mark.django_db

GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(autouse=True)
def _rules(settings: Settings) -> None:
    settings.TELEMETRY_STAFF_UNITS = ["ada"]
    settings.TELEMETRY_BOT_WORDS = ["kiosk"]
    settings.TELEMETRY_TEST_ORDER_PREFIXES = ["TEST-"]
    settings.TELEMETRY_TEST_PAYMENTS = ["test"]


def excluded_exposure(**overrides: Any) -> str | None:
    experiment = make_running_experiment()
    outcome_of(exposure(experiment, **overrides))
    return Exposure.objects.get().excluded_as


def excluded_order(**overrides: Any) -> str | None:
    record(order(**overrides))
    return Order.objects.get().excluded_as


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({}, None),
        ({"user_agent": FIREFOX}, None),
        ({"user_agent": GOOGLE}, "bot"),
        ({"user_agent": ""}, "bot"),
        ({"user_agent": "WarehouseKiosk/2"}, "bot"),
        ({"traffic": "staff"}, "staff"),
        ({"traffic": "test", "user_agent": GOOGLE}, "bot"),
    ],
)
def test_exposure__by_rule__is_kept_with_its_reason(overrides: dict[str, Any], reason: str | None) -> None:
    assert excluded_exposure(**overrides) == reason


def test_exposure__of_a_staff_unit__is_kept_under_the_computed_variant_without_fault() -> None:
    experiment = make_running_experiment()
    computed = variant_of(experiment, "ada")
    other = {"control": "test", "test": "control"}[computed]

    result = outcome_of(exposure(experiment, unit_id="ada", variant_key=other))

    row = Exposure.objects.get()
    assert result == ("accepted", "excluded")
    assert (row.excluded_as, row.variant_key, row.is_fault, row.claimed_key) == ("staff", computed, False, None)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({}, None),
        ({"order_ref": "TEST-1"}, "test"),
        ({"order_ref": "A-TEST-1"}, None),
        ({"payment": "Test"}, "test"),
        ({"payment": "paypal"}, None),
        ({"traffic": "staff"}, "staff"),
        ({"unit_id": "ada"}, "staff"),
        ({"unit_id": None, "user_agent": GOOGLE}, "bot"),
        ({"unit_id": "ada", "order_ref": "TEST-1"}, "staff"),
    ],
)
def test_order__by_rule__is_kept_with_its_reason(overrides: dict[str, Any], reason: str | None) -> None:
    assert excluded_order(**overrides) == reason


@pytest.mark.parametrize(
    ("overrides", "code"),
    [({"traffic": "human"}, "traffic_invalid"), ({"user_agent": "a" * 1001}, "user_agent_invalid")],
)
def test_events__with_a_senseless_mark__are_rejected(overrides: dict[str, Any], code: str) -> None:
    experiment = make_running_experiment()

    assert outcome_of(exposure(experiment, **overrides)) == ("rejected", code)
    assert record(order(**overrides)) == [("rejected", code)]


def test_exposure__excluded_by_any_of_its_reports__stays_so_in_any_order() -> None:
    experiment = make_running_experiment()
    plain = exposure(experiment)
    marked = dataclasses.replace(plain, traffic="staff", exposed_at=NOON + 1.5 * HOUR)
    bot = dataclasses.replace(plain, user_agent=GOOGLE, exposed_at=NOON + 1.75 * HOUR)

    for reports in itertools.permutations([plain, marked, bot]):
        Exposure.objects.all().delete()
        for report in reports:
            record_exposures([report], now=NOON + 2 * HOUR)

        row = Exposure.objects.get()
        assert (row.excluded_as, row.exposed_at) == ("bot", NOON + HOUR)


@pytest.mark.parametrize("is_marked_first", [True, False])
def test_order__marked_by_one_of_its_reports__is_a_revision_that_stays(is_marked_first: bool) -> None:
    reports = [order(user_agent=GOOGLE), order(status="confirmed")]

    outcomes = record(*(reports if is_marked_first else reversed(reports)))

    assert outcomes[0][0] == "accepted"
    assert outcomes[1] == ("revised", "")
    assert (Order.objects.get().excluded_as, Order.objects.get().status) == ("bot", "confirmed")


def test_counts__with_bots_and_staff__hold_people_only_and_say_how_many_were_left_out() -> None:
    experiment = make_running_experiment()
    [shopper, *bots], [other] = units_of(experiment, "test", 4), units_of(experiment, "control", 1)
    people = [_exposed(experiment, shopper, "test"), _exposed(experiment, other, "control")]
    machines = [_exposed(experiment, unit, "test", user_agent=GOOGLE) for unit in bots]
    record_exposures([*people, *machines], now=NOON + HOUR)
    orders = [*map(_bought, (shopper, other)), *(_bought(unit, user_agent=GOOGLE) for unit in bots)]
    record_orders([*orders, _bought(None, traffic="staff")], now=NOON + 2 * HOUR)

    report = _aggregated(experiment)

    assert [variant.exposed_count for variant in report.variants] == [1, 1]
    assert [variant.sample_size for variant in report.variants] == [1, 1]
    assert [variant.units.bots for variant in report.variants] == [0, 3]
    assert report.quality is not None
    assert report.quality.excluded_orders == {"test": {"bot": 3}}
    assert left_out_text(all_units(report)) == "5 exposures, 3 excluded: 3 bots"
    assert {metric.sample_size for metric in BundleAcceptanceMetric.objects.all()} == {2}
    assert [row.units.met for row in unit_rows(report)] == [1, 4]
    assert "5 exposures, 3 excluded: 3 bots" in [row.sentence for row in trust_rows(report)]


def test_counts__of_a_unit_that_turns_out_to_be_staff__lose_it() -> None:
    experiment = make_running_experiment()
    event = exposure(experiment)
    record_exposures([event], now=NOON + HOUR)
    record_orders([_bought(event.unit_id)], now=NOON + 2 * HOUR)
    before = _aggregated(experiment)

    record_exposures([dataclasses.replace(event, traffic="staff")], now=NOON + 2 * HOUR)
    after = _aggregated(experiment)

    assert [(own.exposed_count, own.sample_size, own.units.staff) for own in before.variants] == [(0, 0, 0), (1, 1, 0)]
    assert [(own.exposed_count, own.sample_size, own.units.staff) for own in after.variants] == [(0, 0, 0), (0, 0, 1)]


def test_batch__of_marked_events__asks_the_database_no_more(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    experiment = make_running_experiment()
    events = [_exposed(experiment, unit, "test", user_agent=GOOGLE) for unit in units_of(experiment, "test", 50)]

    with django_assert_max_num_queries(12):
        results = record_exposures(events, now=NOON + HOUR)

    assert {(result.outcome, result.code) for result in results} == {("accepted", "excluded")}


def variant_of(experiment: Experiment, unit_id: str) -> str:
    assert experiment.current_phase is not None
    return str(computed_variant(unit_id, experiment.current_phase))


def units_of(experiment: Experiment, key: str, count: int) -> list[str]:
    """Return unit ids that the experiment assigns to the variant."""
    candidates = (f"visitor-{number}" for number in itertools.count())
    return list(itertools.islice((unit for unit in candidates if variant_of(experiment, unit) == key), count))


def _exposed(experiment: Experiment, unit_id: str, key: str, **overrides: Any) -> ExposureEvent:
    return ExposureEvent(experiment.slug, unit_id, key, NOON + dt.timedelta(minutes=5), **overrides)


def _bought(unit_id: str | None, **overrides: Any) -> OrderEvent:
    return order(order_ref=f"A-{unit_id}", unit_id=unit_id, placed_at=NOON + HOUR, **overrides)


def _aggregated(experiment: Experiment) -> Report:
    BundleAcceptanceAggregator().recompute(now=NOON + 3 * HOUR)
    return analyze(Experiment.objects.get(pk=experiment.pk), now=NOON + 3 * HOUR)
