"""Many callers at once, on real connections: nothing is lost, nothing fails."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import TypeVar

import pytest
from django.db import OperationalError, connection, connections, transaction

from catalog_experiments.intake import (
    BundleAcceptanceService,
    ExposureEvent,
    OrderEvent,
    OrderLine,
    record_exposures,
    record_orders,
)
from catalog_experiments.models import Exposure, Order, OrderOutcome, Phase, PhaseOrigin
from tests.builders import NOON, make_bundle, make_running_experiment

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = dt.timedelta(hours=1)
Answer = TypeVar("Answer")


def at_once(calls: Iterable[Callable[[], Answer]], *, workers: int) -> list[Answer]:
    """Run the calls on `workers` threads that start together, each with a connection of its own."""
    start = Barrier(workers)

    def work(own: list[Callable[[], Answer]]) -> list[Answer]:
        start.wait()
        try:
            return [call() for call in own]
        finally:
            connections.close_all()

    waiting = list(calls)
    with ThreadPoolExecutor(workers) as pool:
        shares = [waiting[offset::workers] for offset in range(workers)]
        return [answer for answers in pool.map(work, shares) for answer in answers]


def order(ref: str) -> OrderEvent:
    return OrderEvent(ref, NOON, "EUR", (OrderLine("cup", 1, 2000), OrderLine("saucer", 1, 1000)), unit_id=ref)


def test_orders__two_hundred_at_once__are_all_counted() -> None:
    make_bundle()
    service = BundleAcceptanceService()

    results = at_once(
        [partial(service.record_order_acceptance, order(f"A-{n}"), now=NOON) for n in range(200)], workers=20
    )

    assert Counter(result.outcome for result in results) == {"accepted": 200}
    assert OrderOutcome.objects.filter(accepted=True).count() == 200


def test_orders__ten_first_reports_of_one_at_once__keep_one_and_fail_none() -> None:
    make_bundle()

    results = at_once(
        (lambda: BundleAcceptanceService().record_order_acceptance(order("A-1"), now=NOON) for _ in range(10)),
        workers=10,
    )

    assert Counter(result.outcome for result in results) == {"accepted": 1, "duplicate": 9}
    assert (Order.objects.count(), OrderOutcome.objects.count()) == (1, 1)


def test_orders__on_their_way_in__keep_their_bundle_from_being_deleted() -> None:
    bundle = make_bundle()

    def delete() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
        try:
            bundle.delete()
        except OperationalError as error:
            return str(error)
        return "deleted"

    with transaction.atomic():
        record_orders([order("A-1")], now=NOON)
        answers = at_once([delete], workers=1)

    assert "lock timeout" in answers[0]
    assert OrderOutcome.objects.get().bundle == bundle


def test_batches__with_the_same_items_in_opposite_orders__do_not_block_each_other() -> None:
    make_running_experiment()
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    orders = [order(f"A-{n}") for n in range(100)]
    exposures = [ExposureEvent("cup-saucer", f"u{n}", "test", NOON + n * dt.timedelta(seconds=1)) for n in range(100)]

    def both(step: int) -> list[str]:
        results = record_orders(orders[::step], now=NOON + HOUR) + record_exposures(exposures[::step], now=NOON + HOUR)
        return [result.outcome for result in results]

    answers = at_once([partial(both, step) for step in (1, -1) * 10], workers=4)

    outcomes = Counter(outcome for answer in answers for outcome in answer)
    assert outcomes == {"accepted": 200, "duplicate": 3800}
    assert (Order.objects.count(), Exposure.objects.count()) == (100, 100)


def test_revision__racing_with_the_order_itself__always_wins() -> None:
    cancelled = OrderEvent(
        "A-1", NOON, "EUR", (OrderLine("cup", 1, 2000),), status="cancelled", cancelled_at=NOON + HOUR
    )
    paid = OrderEvent("A-1", NOON, "EUR", (OrderLine("cup", 1, 2000),))

    at_once([partial(record_orders, [event], now=NOON + HOUR) for event in (paid, cancelled) * 5], workers=10)

    assert Order.objects.get().status == "cancelled"
