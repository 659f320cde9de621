"""Orders of one person, whatever id they were placed under, count for the one unit that stays of it."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from catalog_experiments.aggregation import BundleAcceptanceAggregator, backfill, cursors, persons
from catalog_experiments.intake import (
    AliasEvent,
    ExposureEvent,
    OrderEvent,
    OrderLine,
    record_aliases,
    record_exposures,
    record_orders,
)
from catalog_experiments.models import (
    AggregationCursor,
    ErasedCohort,
    Exposure,
    GuardrailTally,
    Moment,
    OpenUnit,
    Phase,
    VariantMetric,
)
from catalog_experiments.privacy import erase_unit, find_person
from catalog_experiments.units import digest_unit
from tests.builders import NOON
from tests.catalog_experiments.aggregation.test_erased import let_be_counted_long_ago
from tests.catalog_experiments.aggregation.test_refresh import (
    assert_counted_right,
    everything,
    make_measured_phase,
    tallies,
    without_lingering,
)

pytestmark = pytest.mark.django_db

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
OPEN, CLOSED = NOON + 4 * DAY, NOON + 20 * DAY
"""When the first cohort day is open, and when it is closed."""
PHONE, DESK, CUSTOMER = "phone", "desk", "customer"

Step = Callable[[], object]


@pytest.fixture(autouse=True)
def no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run look at nothing but news."""
    monkeypatch.setattr(cursors, "OVERLAP", dt.timedelta(0))


@pytest.fixture
def phase() -> Phase:
    """A phase that offers the saucer in the control and the spoon in the test."""
    return make_measured_phase(caps={"revenue": 9_000})


def meet(unit: str, key: str = "test", *, at: dt.datetime = NOON + HOUR, **traits: Any) -> None:
    [result] = record_exposures([ExposureEvent("cup-saucer", unit, key, at, **traits)], now=CLOSED)
    assert result.outcome == "accepted", result


def join(*visitors: str, now: dt.datetime = NOON + 2 * HOUR) -> None:
    results = record_aliases([AliasEvent(visitor, CUSTOMER) for visitor in visitors], now=now)
    assert {result.outcome for result in results} <= {"accepted", "duplicate"}


def buy(unit: str, *, at: dt.datetime = NOON + 3 * HOUR, cup: int = 2_000, ref: str = "", **state: Any) -> None:
    lines = (OrderLine("cup", 1, cup, 900), OrderLine("spoon", 1, 500, 100))
    record_orders([OrderEvent(ref or f"{unit}-{at:%d%H}", at, "EUR", lines, unit_id=unit, **state)], now=CLOSED)


def count(now: dt.datetime = OPEN) -> None:
    BundleAcceptanceAggregator().recompute(now=now)


def revenue(key: str = "test") -> tuple[int, int]:
    """Return units and money of a variant's first cohort day."""
    sums = Moment.objects.filter(variant_key=key, metric="revenue", segment="", cohort_date=NOON.date())
    n, total = sums.values_list("n", "total").first() or (0, 0)
    return n, int(total)


def outcomes() -> tuple[int, ...]:
    """Return n, accepted, gross n, gross accepted and revised, over all hours and variants."""
    fields = ("n", "accepted", "gross_n", "gross_accepted", "revised")
    return tuple(map(sum, zip(*GuardrailTally.objects.values_list(*fields), strict=True))) or (0,) * 5


def assert_whole_and_right(phase: Phase, now: dt.datetime) -> None:
    """Hold the numbers against a count from all facts, and against the definitions."""
    refreshed = everything(phase)
    assert BundleAcceptanceAggregator().verify(now=now).corrected == 0
    AggregationCursor.objects.all().delete()
    count(now)
    assert without_lingering(everything(phase)) == without_lingering(refreshed)
    assert_counted_right(phase)


@pytest.mark.parametrize("buyer", [PHONE, DESK, CUSTOMER])
def test_order__under_any_id_of_a_person__counts_for_the_unit_that_stays(phase: Phase, buyer: str) -> None:
    meet(PHONE)
    meet(DESK, at=NOON + 2 * HOUR)
    join(PHONE, DESK)
    buy(buyer)

    count()

    assert revenue() == (1, 2_500)
    assert outcomes() == (1, 1, 1, 1, 0)
    assert OpenUnit.objects.get().unit == digest_unit(PHONE)
    assert_whole_and_right(phase, OPEN)


def test_orders__under_several_ids__are_one_units_and_its_first_is_the_outcome(phase: Phase) -> None:
    meet(PHONE)
    meet(DESK, at=NOON + 2 * HOUR)
    join(PHONE, DESK)
    buy(PHONE, at=NOON + 5 * HOUR)
    buy(DESK, at=NOON + 3 * HOUR)
    buy(CUSTOMER, at=NOON + 3 * HOUR, ref="a-first-by-its-reference")
    buy(CUSTOMER, at=NOON - DAY, cup=100)

    count()

    unit = OpenUnit.objects.get()
    assert (unit.orders, unit.revenue, unit.x, unit.is_returning) == (3, 7_500, 600, True)
    assert set(GuardrailTally.objects.values_list("outcome_hour_at", "n", "gross_n")) == {(NOON + 3 * HOUR, 1, 1)}
    assert_whole_and_right(phase, OPEN)


def test_orders__in_another_currency__are_kept_in_one_order_whoever_placed_them(phase: Phase) -> None:
    meet(PHONE)
    join(PHONE)
    for unit, hours, price in ((CUSTOMER, 3, 300), (PHONE, 4, 100), (CUSTOMER, 5, 200)):
        order = OrderEvent(f"U-{hours}", NOON + hours * HOUR, "USD", (OrderLine("cup", 1, price),), unit_id=unit)
        record_orders([order], now=CLOSED)

    count()

    assert OpenUnit.objects.get().foreign_revenue == [["USD", 100], ["USD", 200], ["USD", 300]]
    assert_whole_and_right(phase, OPEN)


def test_orders__of_a_customer_who_is_the_exposed_unit__are_those_of_its_visitor_ids_too(phase: Phase) -> None:
    meet(CUSTOMER)
    join(PHONE)
    buy(PHONE)

    count()

    assert revenue() == (1, 2_500)
    assert OpenUnit.objects.get().unit == digest_unit(CUSTOMER)
    assert_whole_and_right(phase, OPEN)


def test_orders__of_a_person_who_met_two_variants__count_for_nobody(phase: Phase) -> None:
    meet(PHONE)
    meet(DESK, "control", at=NOON + 2 * HOUR)
    buy(CUSTOMER)
    join(PHONE, DESK)

    count()

    assert (revenue("test"), revenue("control")) == ((0, 0), (0, 0))
    assert outcomes() == (0, 0, 0, 0, 0)
    assert_whole_and_right(phase, OPEN)


def test_orders__outside_the_window_of_the_unit_that_stays__count_for_nobody(phase: Phase) -> None:
    meet(PHONE)
    meet(DESK, at=NOON + 2 * DAY)
    join(PHONE, DESK)
    buy(DESK, at=NOON + 4 * DAY)

    count(CLOSED)

    assert revenue() == (1, 0)
    assert_whole_and_right(phase, CLOSED)


def _told(*steps: Step) -> Sequence[Step]:
    return steps


NEWS: dict[str, Sequence[Step]] = {
    "the alias": _told(lambda: join(PHONE, DESK)),
    "an order": _told(lambda: buy(CUSTOMER, at=NOON + 4 * HOUR)),
    "an order, cancelled": _told(
        lambda: buy(DESK, ref="D", at=NOON + 4 * HOUR),
        lambda: buy(DESK, ref="D", at=NOON + 4 * HOUR, status="cancelled", cancelled_at=NOON + 5 * HOUR),
    ),
    "an exposure of before": _told(lambda: meet(DESK, at=NOON + HOUR / 2)),
    "an exposure to another variant": _told(lambda: meet(DESK, "control")),
    "an exposure of staff": _told(lambda: meet(DESK, at=NOON + HOUR / 2, traffic="staff")),
    "a third id": _told(lambda: join("tablet"), lambda: buy("tablet", at=NOON + 6 * HOUR)),
}


@pytest.mark.parametrize("now", [OPEN, CLOSED], ids=["open-day", "closed-day"])
@pytest.mark.parametrize("most", [persons.FEW, 0], ids=["few", "many"])
@pytest.mark.parametrize("news", NEWS)
def test_news__of_a_person__is_found_by_the_next_run(
    phase: Phase, monkeypatch: pytest.MonkeyPatch, news: str, now: dt.datetime, most: int
) -> None:
    monkeypatch.setattr(persons, "FEW", most)
    meet(PHONE)
    meet(DESK, at=NOON + 2 * HOUR)
    meet("stranger", at=NOON + 2 * HOUR)
    for unit in (PHONE, DESK, CUSTOMER, "tablet", "stranger"):
        buy(unit)
        buy(unit, at=NOON - DAY)
    if news != "the alias":
        join(PHONE, DESK)
    count(now)

    for step in NEWS[news]:
        step()
        count(now)

    assert_whole_and_right(phase, now)


def test_news__of_nothing__measures_nobody(phase: Phase) -> None:
    meet(PHONE)
    join(PHONE)
    buy(CUSTOMER)
    count()
    before = everything(phase)

    count()

    assert everything(phase) == before


@pytest.mark.parametrize("now", [OPEN, CLOSED], ids=["open-day", "closed-day"])
def test_alias__after_the_end_of_a_phase__leaves_it_as_it_was(phase: Phase, now: dt.datetime) -> None:
    meet(PHONE)
    meet(DESK, at=NOON + HOUR / 2)
    join(PHONE)
    buy(CUSTOMER)
    buy(DESK)
    Phase.objects.update(closed_at=NOON + DAY)
    count(now)
    before = everything(phase)

    join(DESK, now=NOON + DAY)
    count(now)

    assert everything(phase) == before
    assert outcomes()[0] == 2
    assert_whole_and_right(phase, now)


@pytest.mark.parametrize("now", [OPEN, CLOSED], ids=["open-day", "closed-day"])
def test_exposure__told_after_the_end__takes_the_persons_orders_and_leaves_each_its_own(
    phase: Phase, now: dt.datetime
) -> None:
    meet(PHONE)
    join(PHONE, DESK)
    for unit in (PHONE, DESK, CUSTOMER):
        buy(unit)
    Phase.objects.update(closed_at=NOON + 9 * DAY)
    count(now)
    before = revenue()

    meet(DESK, at=NOON + HOUR / 2)
    count(now)

    assert (before, revenue()) == ((1, 7_500), (2, 7_500))
    assert outcomes()[0] == 2
    assert_whole_and_right(phase, now)


def test_backfill__of_days_with_persons__makes_the_rows_that_the_runs_made(phase: Phase) -> None:
    meet(PHONE)
    meet(DESK, at=NOON + 2 * HOUR)
    join(PHONE, DESK)
    buy(DESK)
    buy(CUSTOMER, at=NOON + 5 * HOUR)
    count()

    result = backfill(lookback_days=1, now=OPEN, slug=phase.experiment.slug)

    assert (result.changed, VariantMetric.objects.get(variant__key="test", window_start=OPEN.date()).sample_size) == (
        0,
        1,
    )


@pytest.mark.parametrize("now", [OPEN, CLOSED], ids=["open-day", "closed-day"])
@pytest.mark.parametrize("is_counted", [True, False], ids=["counted", "not-counted-yet"])
def test_erasure__of_a_person__keeps_what_the_unit_had_added(phase: Phase, now: dt.datetime, is_counted: bool) -> None:
    meet(PHONE)
    meet(DESK, at=NOON + 2 * HOUR)
    meet("stranger")
    buy("stranger", at=NOON + 4 * HOUR)
    count(now)
    join(PHONE, DESK)
    buy(DESK)
    buy(CUSTOMER, at=NOON + 5 * HOUR)
    if is_counted:
        count(now)

    erase_unit(find_person(DESK, follow_aliases=True), actor="user:mara", now=now)
    count(now)

    assert revenue() == (2, 7_500)
    assert outcomes() == (2, 2, 2, 2, 0)
    assert ErasedCohort.objects.exclude(phase=None).count() == 1
    assert not Exposure.objects.filter(unit__in=map(digest_unit, (PHONE, DESK))).exists()
    assert BundleAcceptanceAggregator().verify(now=now).corrected == 0


def test_erasure__of_a_person_nobody_counted_as_one_yet__keeps_what_it_would_have_added(phase: Phase) -> None:
    meet(PHONE)
    buy(CUSTOMER)
    let_be_counted_long_ago()
    count()
    before = revenue()

    join(PHONE)
    erase_unit(find_person(CUSTOMER, follow_aliases=True), actor="user:mara", now=OPEN)
    count()

    assert (before, revenue()) == ((1, 0), (1, 2_500))
    assert BundleAcceptanceAggregator().verify(now=OPEN).corrected == 0


@pytest.mark.parametrize("now", [OPEN, CLOSED], ids=["open-day", "closed-day"])
@pytest.mark.parametrize("gone", [PHONE, DESK, CUSTOMER])
def test_erasure__of_one_id_alone__leaves_whole_and_incremental_counts_equal(
    phase: Phase, now: dt.datetime, gone: str
) -> None:
    meet(PHONE)
    meet(DESK, at=NOON + 2 * HOUR)
    join(PHONE, DESK)
    buy(DESK)
    buy(CUSTOMER, at=NOON + 5 * HOUR)
    count(now)

    erase_unit(find_person(gone, follow_aliases=False), actor="user:mara", now=now)
    count(now)
    buy("somebody", at=NOON + 6 * HOUR)
    count(now)

    assert BundleAcceptanceAggregator().verify(now=now).corrected == 0


@pytest.mark.parametrize("seed", range(8))
def test_stream__of_few_people_in_any_order__ends_as_a_whole_count_at_every_run(
    phase: Phase, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(persons, "FEW", chance.choice([0, persons.FEW]))

    for step in _stream(chance):
        step()
        count(chance.choice([OPEN, OPEN, CLOSED]))
        assert_counted_right(phase)

    assert sum(cells[0] for cells in tallies(phase).values()) > 1
    assert_whole_and_right(phase, CLOSED)


def _stream(chance: random.Random) -> list[Step]:
    """Return thirty reports of three people with three devices each, most of which show one variant."""
    steps: list[Step] = []
    for number in range(3):
        ids = [f"visitor-{number}-{device}" for device in range(3)]
        for place, unit in enumerate(ids):
            key = ("control", "test")[number % 2 if place or chance.random() < 0.8 else 1 - number % 2]
            event = ExposureEvent("cup-saucer", unit, key, NOON + chance.random() * 3 * DAY)
            alias = AliasEvent(unit, f"customer-{number}")
            steps += [
                partial(record_exposures, [event], now=CLOSED),
                partial(record_aliases, [alias], now=NOON + DAY),
            ]
        for place in range(5):
            order = _order(chance, f"{number}-{place}", chance.choice([*ids, f"customer-{number}"]))
            later = [order] if place else [order, replace(order, status="cancelled", cancelled_at=order.placed_at)]
            steps += [partial(record_orders, [told], now=CLOSED) for told in later]
    chance.shuffle(steps)
    return steps


def _order(chance: random.Random, ref: str, unit: str) -> OrderEvent:
    lines = (OrderLine("cup", 1, 2_000, 900), OrderLine(chance.choice(["saucer", "spoon"]), 1, 500, 100))
    return OrderEvent(ref, NOON + chance.random() * 5 * DAY - DAY, "EUR", lines, unit_id=unit)
