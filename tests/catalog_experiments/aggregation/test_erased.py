"""What erased units had added stays in every number, whatever is counted after them, as if they had never gone."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from catalog_experiments.aggregation import BundleAcceptanceAggregator, backfill
from catalog_experiments.intake import ExposureEvent, OrderEvent, OrderLine, record_exposures, record_orders
from catalog_experiments.models import (
    AggregationCursor,
    BundleAcceptanceHour,
    BundleAcceptanceMetric,
    Cohort,
    ErasedCohort,
    Experiment,
    Exposure,
    GuardrailTally,
    Moment,
    OpenUnit,
    Order,
    Phase,
    PhaseOrigin,
    VariantMetric,
)
from catalog_experiments.privacy import erase_unit, find_person
from tests.builders import NOON, make_experiment, make_phase
from tests.catalog_experiments.aggregation.test_runs import DAY, HOUR, buy, expose

pytestmark = pytest.mark.django_db

OPEN = NOON + 2 * DAY
"""When the first cohort day is open."""
CLOSED = NOON + 20 * DAY
"""When it is closed."""
GONE = ("t1", "t2", "c1", "mixed", "staff")
SHOWN: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (GuardrailTally, ()),
    (Cohort, ()),
    (Moment, ()),
    (VariantMetric, ("computed_at", "watermark_at", "created_at", "updated_at")),
    (BundleAcceptanceHour, ()),
    (BundleAcceptanceMetric, ("computed_at", "created_at", "updated_at")),
)

Step = Callable[[], None]


def make_world() -> Experiment:
    """Make an experiment whose first two days hold one of each kind of unit, erased ones and others."""
    experiment = make_experiment()
    phase = make_phase(experiment, origin=PhaseOrigin.IMPORTED, segments=["device"], caps={"revenue": 2500})
    Experiment.objects.filter(pk=experiment.pk).update(
        status="running", current_phase=phase, started_at=NOON, published_at=NOON
    )
    meet("t1", "test", {"device": "phone"})
    meet("t2", "test", {"device": "phone"})
    meet("c1", "control", {"device": "desk"})
    meet("mixed", "test")
    meet("mixed", "control", at=NOON + HOUR)
    record_exposures([ExposureEvent("cup-saucer", "staff", "test", NOON, traffic="staff")], now=CLOSED)
    expose(experiment, "test", "t3", "t4")
    expose(experiment, "control", "c2", "c3", at=NOON + HOUR)
    for unit in ("t1", "t3", "c1", "c2"):
        buy(unit, at=NOON - DAY, ref=f"{unit}-before")
        buy(unit)
    buy("t2", at=NOON + 3 * HOUR, took=False)
    buy("t2", at=NOON + DAY, status="cancelled", ref="t2-cancelled", cancelled_at=NOON + 2 * DAY)
    foreign = OrderEvent("t1-usd", NOON + 2 * HOUR, "USD", (OrderLine("saucer", 2, 900, None),), unit_id="t1")
    record_orders([foreign], now=CLOSED)
    return experiment


def meet(unit: str, key: str, segments: dict[str, str] | None = None, *, at: dt.datetime = NOON) -> None:
    record_exposures([ExposureEvent("cup-saucer", unit, key, at, segments=segments)], now=CLOSED)


def let_be_counted_long_ago() -> None:
    """Take back by a day when the facts were recorded, so that a run after the next finds no news in them."""
    Exposure.objects.update(recorded_at=timezone.now() - DAY)
    Order.objects.update(recorded_at=F("recorded_at") - DAY, revised_at=F("revised_at") - DAY)


def count(now: dt.datetime) -> None:
    BundleAcceptanceAggregator().recompute(now=now)


def erase(*units: str) -> None:
    for unit in units:
        erase_unit(find_person(unit, follow_aliases=True), actor="user:mara", now=CLOSED)


def numbers() -> dict[str, list[str]]:
    """Return all that is counted, without keys that differ from world to world."""
    return {
        model.__name__: sorted(str(_told(row, left_out)) for row in model.objects.values()) for model, left_out in SHOWN
    }


def _told(row: dict[str, Any], left_out: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in left_out and name != "id"}
    return {name: value for name, value in kept.items() if name == "variant_key" or not name.endswith("_id")}


def expected_after(*steps: Step) -> dict[str, list[str]]:
    """Return what the steps lead to, and undo them."""
    with transaction.atomic():
        for step in steps:
            step()
        found = numbers()
        transaction.set_rollback(True)
    return found


def news_of_the_day() -> None:
    meet("t9", "test", {"device": "phone"})
    meet("c9", "control")
    buy("t9", at=NOON + 4 * HOUR)
    buy("c3", at=NOON + 5 * HOUR, took=False)


def pause() -> None:
    """Stop serving when all windows were over: nobody is cut."""
    spans = [[(NOON + 12 * DAY).isoformat(), (NOON + 13 * DAY).isoformat()]]
    Phase.objects.update(unserved_spans=spans)


@pytest.mark.parametrize("now", [OPEN, CLOSED], ids=["open-day", "closed-day"])
@pytest.mark.parametrize("later", [(), (news_of_the_day,), (pause,), (news_of_the_day, pause)])
def test_erased__whatever_is_counted_next__is_as_if_they_had_stayed(later: tuple[Step, ...], now: dt.datetime) -> None:
    make_world()
    let_be_counted_long_ago()
    count(now)
    before = numbers()
    expected = expected_after(*later, lambda: count(now))

    erase(*GONE)
    left = numbers()
    for step in later:
        step()
    count(now)

    assert left == before
    assert numbers() == expected
    assert Moment.objects.exists()
    assert not Exposure.objects.filter(unit__in=_gone()).exists()


def _gone() -> list[Any]:
    return [unit for name in GONE for unit in find_person(name, follow_aliases=True).units]


@pytest.mark.parametrize("now", [OPEN, CLOSED], ids=["open-day", "closed-day"])
def test_erased__n_and_sums_of_a_day__belong_together(now: dt.datetime) -> None:
    make_world()
    let_be_counted_long_ago()
    count(now)

    erase("t1")
    news_of_the_day()
    count(now)

    conversion = Moment.objects.get(variant_key="test", metric="conversion", segment="")
    assert (conversion.n, int(conversion.total)) == (5, 4)


@pytest.mark.parametrize("is_known", [True, False], ids=["counted", "never-counted"])
def test_erased__with_facts_nobody_counted_yet__is_counted_with_them_all_the_same(is_known: bool) -> None:
    make_world()
    if is_known:
        let_be_counted_long_ago()
        count(OPEN)
    buy("t2", at=NOON + 6 * HOUR)
    meet("t5", "test")
    buy("t5", at=NOON + 6 * HOUR)
    expected = expected_after(lambda: count(OPEN))

    erase("t1", "t2", "t5")
    count(OPEN)

    assert numbers() == expected
    assert BundleAcceptanceAggregator().verify(now=OPEN).corrected == 0


def test_erased__of_facts_that_were_counted__leaves_the_next_run_its_news_alone() -> None:
    make_world()
    let_be_counted_long_ago()
    count(OPEN)

    erase(*GONE)

    assert not AggregationCursor.objects.filter(recorded_to=None).exists()


@pytest.mark.parametrize("now", [OPEN, CLOSED], ids=["open-day", "closed-day"])
def test_verify__after_erasure_and_news__finds_no_difference_and_puts_errors_right(now: dt.datetime) -> None:
    make_world()
    let_be_counted_long_ago()
    count(now)
    erase(*GONE)
    news_of_the_day()
    count(now)
    right = numbers()

    found = BundleAcceptanceAggregator().verify(now=now)
    Cohort.objects.update(revenue=F("revenue") + 1)
    GuardrailTally.objects.update(gross_n=F("gross_n") + 1)
    corrected = BundleAcceptanceAggregator().verify(now=now).corrected

    assert (found.corrected, found.erased) == (0, 1)
    assert corrected > 0
    assert numbers() == right


def test_backfill__after_erasure__makes_the_rows_it_would_have_made() -> None:
    make_world()
    let_be_counted_long_ago()
    count(CLOSED)
    steps: tuple[Step, ...] = (news_of_the_day, lambda: count(CLOSED), lambda: _backfill(CLOSED))
    expected = expected_after(*steps)

    erase(*GONE)
    for step in steps:
        step()

    assert numbers() == expected
    assert backfill(lookback_days=30, now=CLOSED).changed == 0


def _backfill(now: dt.datetime) -> None:
    backfill(lookback_days=30, now=now)


def test_erased__several_of_a_day__are_kept_as_one_sum() -> None:
    make_world()
    let_be_counted_long_ago()
    count(OPEN)

    erase("t1")
    erase("t2", "c1")

    kept = ErasedCohort.objects.get(phase__isnull=False)
    (test,) = (
        row for row in kept.sums["cohorts"] if (row["variant_key"], row["segment"], row["currency"]) == ("test", "", "")
    )
    keys = [(row["variant_key"], row["segment"], row["currency"]) for row in kept.sums["cohorts"]]
    assert kept.unit_count == 3
    assert (test["exposed"], test["uncut"], test["bought"]) == (2, 2, 2)
    assert len(keys) == len(set(keys))
    assert not any(str(unit) in str(ErasedCohort.objects.values()) for unit in _gone())


def test_erased__then_a_pause_cuts_their_day__stay_uncut_with_all_they_did() -> None:
    make_world()
    let_be_counted_long_ago()
    count(OPEN)

    erase("t1")
    Phase.objects.update(unserved_spans=[[(NOON + 2 * DAY).isoformat(), None]])
    count(OPEN)

    conversion = Moment.objects.get(variant_key="test", metric="conversion", segment="")
    exposed = Cohort.objects.get(variant_key="test", segment="", currency="")
    assert (conversion.n, int(conversion.total)) == (1, 1)
    assert (exposed.exposed, exposed.uncut) == (4, 1)
    assert BundleAcceptanceAggregator().verify(now=OPEN).corrected == 0


def test_erased__of_an_open_day__leaves_no_row_of_its_own() -> None:
    make_world()
    let_be_counted_long_ago()
    count(OPEN)

    erase(*GONE)
    count(OPEN)

    assert not OpenUnit.objects.filter(unit__in=_gone()).exists()


@pytest.mark.django_db(transaction=True)
def test_erase__while_runs_count_the_phase__leaves_neither_a_row_nor_a_wrong_sum() -> None:
    make_world()
    stop = threading.Event()
    failures: list[BaseException] = []

    def count_on() -> None:
        while not stop.is_set():
            try:
                count(OPEN)
            except BaseException as failure:
                failures.append(failure)
                break
        connection.close()

    counter = threading.Thread(target=count_on)
    counter.start()
    for unit in GONE:
        erase(unit)
    stop.set()
    counter.join()
    count(OPEN)

    assert failures == []
    assert not OpenUnit.objects.filter(unit__in=_gone()).exists()
    assert BundleAcceptanceAggregator().verify(now=OPEN).corrected == 0
    conversion = Moment.objects.get(variant_key="test", metric="conversion", segment="")
    assert (conversion.n, int(conversion.total)) == (4, 3)
