"""Erasure and disclosure: all of one person is found, goes for good, and takes no sum with it."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from catalog_experiments import publication
from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.intake import (
    AliasEvent,
    ExposureEvent,
    ItemResult,
    OrderEvent,
    OrderLine,
    Refused,
    record_aliases,
    record_exposures,
    record_orders,
)
from catalog_experiments.models import (
    ErasedCohort,
    ErasedUnit,
    Experiment,
    ExperimentEvent,
    Exposure,
    OpenUnit,
    Order,
    OrderOutcome,
    Phase,
    PhaseOrigin,
    UnitAlias,
)
from catalog_experiments.privacy import Erasure, disclose, erase_unit, find_person, preview
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.test_retention import SUMS, dump, dump_all, rows_written

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
LATER = NOON + 3 * HOUR
VISITOR, TABLET, CUSTOMER, STRANGER = "visitor-phone", "visitor-tablet", "customer:17850", "visitor-stranger"


def exposure(unit_id: str, *, at: dt.datetime = NOON + HOUR) -> ExposureEvent:
    return ExposureEvent("cup-saucer", unit_id, "test", at)


def order(ref: str, unit_id: str | None) -> OrderEvent:
    lines = (OrderLine("cup", 1, 2000, 900), OrderLine("saucer", 1, 1000, 400))
    return OrderEvent(ref, NOON + 2 * HOUR, "EUR", lines, unit_id=unit_id)


def outcomes(results: tuple[ItemResult, ...]) -> list[tuple[str, str]]:
    return [(result.outcome, result.code) for result in results]


EXPOSURES = [exposure(VISITOR), exposure(TABLET), exposure(STRANGER)]
ORDERS = [order("A-1", VISITOR), order("A-2", CUSTOMER), order("A-3", STRANGER), order("A-4", None)]
ALIASES = [AliasEvent(VISITOR, CUSTOMER), AliasEvent(TABLET, CUSTOMER)]


@pytest.fixture
def experiment() -> Experiment:
    """Make an experiment that takes any claim, with a person of three ids, a stranger, and their orders."""
    experiment = make_running_experiment()
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    replay()
    return experiment


def replay() -> list[tuple[str, str]]:
    """Report everything, once more if it was before."""
    return [
        *outcomes(record_exposures(EXPOSURES, now=LATER)),
        *outcomes(record_orders(ORDERS, now=LATER)),
        *outcomes(record_aliases(ALIASES, now=LATER)),
    ]


def erase(unit_id: str, *, follow_aliases: bool = True) -> Erasure:
    return erase_unit(find_person(unit_id, follow_aliases=follow_aliases), actor="user:mara", now=LATER)


def stored_units() -> set[Any]:
    return {*Exposure.objects.values_list("unit", flat=True), *Order.objects.values_list("unit", flat=True)}


@pytest.mark.parametrize("unit_id", [VISITOR, TABLET, CUSTOMER])
def test_erase__any_id_of_a_person__takes_all_that_aliases_join(experiment: Experiment, unit_id: str) -> None:
    erasure = erase(unit_id)

    assert (erasure.ids, erasure.exposures, erasure.orders, erasure.outcomes, erasure.aliases) == (3, 2, 2, 4, 2)
    assert stored_units() == {digest_unit(STRANGER), None}
    assert not UnitAlias.objects.exists()
    assert OrderOutcome.objects.count() == 4


def test_erase__only_this_id__leaves_the_joined_ones(experiment: Experiment) -> None:
    erasure = erase(VISITOR, follow_aliases=False)

    assert (erasure.ids, erasure.exposures, erasure.orders, erasure.aliases) == (1, 1, 1, 1)
    assert stored_units() == {digest_unit(TABLET), digest_unit(CUSTOMER), digest_unit(STRANGER), None}


def test_erased__everything_reported_again__adds_nothing(experiment: Experiment) -> None:
    erase(CUSTOMER)
    kept = dump_all()

    answers = replay()

    refused, known = ("rejected", "erased"), ("duplicate", "")
    assert answers == [refused, refused, known, refused, refused, known, known, refused, refused]
    assert dump_all() == kept


def test_erased__late_and_imported_reports__are_refused(experiment: Experiment) -> None:
    erase(CUSTOMER)
    long_ago = NOON + dt.timedelta(minutes=1)

    late = record_exposures([exposure(VISITOR, at=long_ago)], now=NOON + dt.timedelta(days=25))
    imported = record_orders([order("B-1", TABLET)], now=NOON + dt.timedelta(days=700), check_lateness=False)

    assert outcomes(late) == outcomes(imported) == [("rejected", "erased")]
    assert imported[0].detail.startswith("The unit was erased")


def test_erase__twice__is_the_same_as_once(experiment: Experiment) -> None:
    erase(CUSTOMER)
    kept = dump_all()

    again = erase(CUSTOMER)

    assert again.was_erased
    assert again.is_empty
    assert dump_all() == kept


def test_erase__of_somebody_unknown__still_refuses_them_from_then_on(experiment: Experiment) -> None:
    erasure = erase("visitor-new")

    results = record_exposures([exposure("visitor-new"), exposure("visitor-other")], now=LATER)

    assert erasure.is_empty
    assert outcomes(results) == [("rejected", "erased"), ("accepted", "")]


def test_erase__under_an_older_key__is_found_refused_and_tombstoned_under_the_newest(
    settings: Settings,
) -> None:
    settings.UNIT_ID_HASH_KEY = ["key-of-last-year"]
    make_running_experiment()
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    record_exposures([exposure(VISITOR)], now=LATER)
    record_orders([order("A-1", VISITOR)], now=LATER)
    settings.UNIT_ID_HASH_KEY = ["key-of-this-year", "key-of-last-year"]

    erasure = erase(VISITOR)
    results = record_exposures([exposure(VISITOR)], now=LATER)

    assert (erasure.exposures, erasure.orders) == (1, 1)
    assert ErasedUnit.objects.get().digest == digest_unit(VISITOR)
    assert outcomes(results) == [("rejected", "erased")]


def test_erased__before_the_key_was_rotated__stays_refused_after(settings: Settings) -> None:
    settings.UNIT_ID_HASH_KEY = ["key-of-last-year"]
    make_running_experiment()
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    erase(VISITOR)
    settings.UNIT_ID_HASH_KEY = ["key-of-this-year", "key-of-last-year"]

    answers = [
        *outcomes(record_exposures([exposure(VISITOR), exposure(STRANGER)], now=LATER)),
        *outcomes(record_orders([order("A-1", VISITOR)], now=LATER)),
        *outcomes(record_aliases([AliasEvent(VISITOR, CUSTOMER)], now=LATER)),
    ]

    refused = ("rejected", "erased")
    assert answers == [refused, ("accepted", ""), refused, refused]


def test_reports__sent_again_after_the_key_was_rotated__are_known(settings: Settings) -> None:
    settings.UNIT_ID_HASH_KEY = ["key-of-last-year"]
    make_running_experiment()
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    record_exposures([exposure(VISITOR)], now=LATER)
    record_orders([order("A-1", VISITOR)], now=LATER)
    settings.UNIT_ID_HASH_KEY = ["key-of-this-year", "key-of-last-year"]
    earlier = exposure(STRANGER)

    seen = outcomes(record_exposures([exposure(VISITOR), earlier], now=LATER))
    bought = outcomes(record_orders([order("A-1", VISITOR)], now=LATER))
    cancelled = record_orders([replace(order("A-1", VISITOR), status="cancelled", cancelled_at=LATER)], now=LATER)

    assert seen == [("duplicate", ""), ("accepted", "")]
    assert (bought, outcomes(cancelled)) == ([("duplicate", "")], [("revised", "")])
    assert Exposure.objects.count() == 2


def test_erase__marks_the_cohort_days_and_leaves_every_sum(experiment: Experiment) -> None:
    BundleAcceptanceAggregator().recompute(now=LATER)
    sums = dump(*SUMS)

    erase(CUSTOMER)

    marks = set(ErasedCohort.objects.values_list("phase__number", "cohort_date", "unit_count"))
    assert marks == {(1, NOON.date(), 2), (None, NOON.date(), 2)}
    assert all(sums.values())
    assert dump(*SUMS) == sums


def test_erase__unit_of_an_open_cohort_day__leaves_nothing_of_it_alone(experiment: Experiment) -> None:
    BundleAcceptanceAggregator().recompute(now=LATER)
    told = disclose(find_person(VISITOR, follow_aliases=False), now=LATER)

    erase(CUSTOMER)

    # The customer's own order counts for the visitor, whose exposure came first.
    assert [row["revenue"] for row in told["running_sums"]] == [6000]
    assert not OpenUnit.objects.filter(unit=digest_unit(VISITOR)).exists()


def test_erase__second_person_of_a_day__adds_to_its_mark(experiment: Experiment) -> None:
    erase(CUSTOMER)
    erase(STRANGER)

    assert list(ErasedCohort.objects.values_list("unit_count", flat=True)) == [3, 3]


def test_erase__tells_the_audit_how_much_and_not_whose(experiment: Experiment) -> None:
    erase(CUSTOMER)

    event = ExperimentEvent.objects.get(action="erase")
    written = f"{event.experiment_id}{event.experiment_slug}{event.before}{event.after}{event.reason}"
    assert (event.actor, event.after["exposures"], event.after["orders"]) == ("user:mara", 2, 2)
    for unit_id in (VISITOR, TABLET, CUSTOMER):
        assert unit_id not in written
        assert str(digest_unit(unit_id)) not in written


def test_erase__forced_unit__leaves_live_and_pending_lists_and_every_document() -> None:
    other = {"visitor-qa": "control"}
    experiment = make_running_experiment(
        forced_units={VISITOR: "test"} | other, pending_changes={"forced_units": {VISITOR: "control"}}
    )
    publication.publish_document(now=NOON)

    erasure = erase(VISITOR)

    experiment.refresh_from_db()
    assert (erasure.forced_lists, erasure.documents) == (1, 1)
    assert (experiment.forced_units, experiment.pending_changes) == (other, {"forced_units": {}})
    for version in (1, 2):
        document = publication.load_document(version)
        assert document is not None
        assert document["experiments"][0]["forced"] == other
    assert VISITOR not in str(dump_all())


def test_preview__writes_nothing_and_foretells_the_erasure(experiment: Experiment) -> None:
    before, written = dump_all(), rows_written()

    foretold = preview(find_person(CUSTOMER, follow_aliases=True))

    assert rows_written() == written
    assert dump_all() == before
    assert foretold == erase(CUSTOMER)


@pytest.mark.parametrize("unit_id", ["", "x" * 256, "nul\x00"])
def test_find_person__impossible_id__is_refused(unit_id: str) -> None:
    with pytest.raises(Refused):
        find_person(unit_id, follow_aliases=True)


def test_disclose__tells_everything_in_readable_keys(experiment: Experiment) -> None:
    told = disclose(find_person(VISITOR, follow_aliases=True), now=LATER)

    assert [(met["experiment"], met["phase"], met["variant"]) for met in told["exposures"]] == [
        ("cup-saucer", 1, "test"),
        ("cup-saucer", 1, "test"),
    ]
    first = told["orders"][0]
    assert (first["order_ref"], first["currency"], first["revenue_minor"]) == ("A-1", "EUR", 3000)
    assert first["lines"][0] == {"slug": "cup", "quantity": 1, "price_minor": 2000, "cost_minor": 900}
    assert first["outcomes"] == [
        {"bundle": "cup-saucer-control", "accepted": True},
        {"bundle": "cup-saucer-test", "accepted": True},
    ]
    assert [entry["order_ref"] for entry in told["orders"]] == ["A-1", "A-2"]
    assert len(told["aliases"]) == 2
    assert told["exposures"][0]["exposed_at"] == "2026-03-02T13:00:00Z"


def test_disclose__after_erasure__tells_of_nothing_but_that(experiment: Experiment) -> None:
    erase(CUSTOMER)

    told = disclose(find_person(CUSTOMER, follow_aliases=True), now=LATER)

    assert told["is_erased"]
    assert not any(told[name] for name in ("exposures", "orders", "aliases", "running_sums", "forced_in_experiments"))


@pytest.mark.django_db(transaction=True)
def test_intake__reports_under_way_while_a_person_is_erased__never_bring_them_back(experiment: Experiment) -> None:
    stop = threading.Event()

    def report() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            record_exposures([exposure(VISITOR), exposure(f"visitor-{number}")], now=LATER)
            record_orders([order(f"C-{number}", VISITOR)], now=LATER)
        connection.close()

    reporters = [threading.Thread(target=report) for _ in range(3)]
    for reporter in reporters:
        reporter.start()
    erase(VISITOR)
    left = stored_units()
    stop.set()
    for reporter in reporters:
        reporter.join()

    assert digest_unit(VISITOR) not in left | stored_units()
