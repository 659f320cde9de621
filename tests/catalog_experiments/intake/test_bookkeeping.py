"""What was not plainly stored is counted by the hour, on real connections; and a count never costs a batch."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from catalog_experiments.intake import (
    AliasEvent,
    Answered,
    ExposureEvent,
    OrderEvent,
    OrderLine,
    answers_of_last_day,
    record_aliases,
    record_exposures,
    record_orders,
)
from catalog_experiments.models import IntakeOutcome, Order
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.intake.test_concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = dt.timedelta(hours=1)
TABLE = "catalog_intake_outcomes"
HELD = f"SELECT FROM {TABLE} FOR UPDATE"


def order(ref: str = "A-1", *, pieces: int = 1, currency: str = "EUR", status: str = "paid") -> OrderEvent:
    return OrderEvent(ref, NOON, currency, (OrderLine("cup", pieces, 2000),), status=status)


def counted() -> dict[tuple[str, str, str], int]:
    """Return the counts by kind, outcome and code."""
    rows = IntakeOutcome.objects.values_list("kind", "outcome", "code", "report_count")
    return {(kind, outcome, code): count for kind, outcome, code, count in rows}


@contextmanager
def held_by_another(statement: str) -> Iterator[None]:
    """Run a statement on a connection of its own and keep its transaction open."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
                is_held.set()
                is_over.wait(timeout=30)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_held.wait(timeout=30)
    try:
        yield
    finally:
        is_over.set()
        holder.join()


def test_orders__each_answer_that_is_not_plain__is_counted_once() -> None:
    record_orders([order()], now=NOON)

    record_orders(
        [order(), order(pieces=2), order(pieces=3), order("A-2", currency="euro"), order("TEST-1"), order("A-3")],
        now=NOON,
    )

    assert counted() == {
        ("orders", "duplicate", ""): 1,
        ("orders", "conflict", "content_differs"): 2,
        ("orders", "rejected", "currency_invalid"): 1,
        ("orders", "accepted", "excluded"): 1,
    }


def test_exposures__another_variant_claimed_and_told_again__are_counted() -> None:
    make_running_experiment(now=NOON)
    events = [ExposureEvent("cup-saucer", f"visitor-{n}", "control", exposed_at=NOON) for n in range(20)]
    first = record_exposures(events, now=NOON)
    faults = sum(result.code == "client_fault" for result in first)

    record_exposures([*events, ExposureEvent("tea-pot", "visitor-1", "control")], now=NOON + HOUR)

    counts = counted()
    assert 0 < faults < 20
    assert counts["exposures", "accepted", "client_fault"] >= faults
    assert counts["exposures", "duplicate", ""] == 20 - faults
    assert counts["exposures", "rejected", "experiment_unknown"] == 1


def test_aliases__taken_by_another_customer__are_counted() -> None:
    record_aliases([AliasEvent("visitor-1", "customer-1")], now=NOON)

    record_aliases([AliasEvent("visitor-1", "customer-2"), AliasEvent("same", "same")], now=NOON)

    assert counted() == {("aliases", "conflict", "visitor_taken"): 1, ("aliases", "rejected", "same_id"): 1}


def test_orders__plainly_stored_and_revised__ask_the_database_for_no_count() -> None:
    with CaptureQueriesContext(connection) as asked:
        record_orders([order(status="pending"), order("A-2")], now=NOON)
        record_orders([order(status="paid")], now=NOON)

    assert not [query for query in asked.captured_queries if TABLE in query["sql"]]
    assert counted() == {}


def test_orders__many_answers_of_one_call__are_counted_by_one_statement() -> None:
    record_orders([order()], now=NOON)

    with CaptureQueriesContext(connection) as asked:
        record_orders([order(), order(pieces=2), order("A-2", currency="euro")], now=NOON)

    assert len([query for query in asked.captured_queries if TABLE in query["sql"]]) == 1
    assert len(counted()) == 3


def test_counts__of_another_hour_and_of_other_zones__stand_by_the_hour_in_utc() -> None:
    record_orders([order()], now=NOON)
    in_india = (NOON + HOUR).astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))

    for now in (NOON, NOON + dt.timedelta(minutes=59), in_india):
        record_orders([order()], now=now)

    rows = IntakeOutcome.objects.order_by("hour_at").values_list("hour_at", "report_count")
    assert list(rows) == [(NOON, 2), (NOON + HOUR, 1)]


def test_counts__from_many_callers_at_once__are_whole() -> None:
    record_orders([order(), order("A-2")], now=NOON)
    batch = [order("A-2"), order(pieces=2), order("A-3", currency="euro")]

    at_once([partial(record_orders, batch[n % 3 :] + batch[: n % 3], now=NOON) for n in range(60)], workers=6)

    assert counted() == {
        ("orders", "duplicate", ""): 60,
        ("orders", "conflict", "content_differs"): 60,
        ("orders", "rejected", "currency_invalid"): 60,
    }


def test_counts__in_a_transaction_of_the_caller__come_with_its_commit() -> None:
    record_orders([order()], now=NOON)

    with transaction.atomic():
        record_orders([order()], now=NOON)
        assert counted() == {}

    assert counted() == {("orders", "duplicate", ""): 1}


def test_counts__in_a_transaction_that_is_rolled_back__do_not_come() -> None:
    record_orders([order()], now=NOON)

    with transaction.atomic():
        record_orders([order(pieces=2)], now=NOON)
        transaction.set_rollback(True)

    assert counted() == {}


def test_counts__that_somebody_holds__are_given_up_soon_and_the_batch_stands(caplog: pytest.LogCaptureFixture) -> None:
    record_orders([order()], now=NOON)
    record_orders([order()], now=NOON)

    with held_by_another(HELD), caplog.at_level(logging.ERROR):
        results = [record_orders([order(ref), order()], now=NOON) for ref in ("A-2", "A-3")]
    record_orders([order()], now=NOON)

    assert [[result.outcome for result in answered] for answered in results] == [["accepted", "duplicate"]] * 2
    assert Order.objects.count() == 3
    assert counted() == {("orders", "duplicate", ""): 2}
    assert [record.message for record in caplog.records] == [
        "answers to orders were not counted; the reports themselves stand"
    ]


def test_counts__after_a_failure__go_on_and_the_next_failure_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    record_orders([order(), order()], now=NOON)

    for _ in range(2):
        with held_by_another(HELD), caplog.at_level(logging.ERROR):
            record_orders([order()], now=NOON)
        record_orders([order()], now=NOON)

    assert counted() == {("orders", "duplicate", ""): 3}
    assert len(caplog.records) == 2


def test_counts__leave_the_settings_of_the_connection_as_they_were() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
        record_orders([order(), order(), order()], now=NOON)
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('synchronous_commit')")
        settings = cursor.fetchone()
        cursor.execute("RESET synchronous_commit")

    assert settings == ("2s", "on")
    assert counted() == {("orders", "duplicate", ""): 2}


def test_answers_of_last_day__sum_the_hours_and_leave_out_older_ones() -> None:
    for hours, count in ((0, 5), (23, 2), (24, 1), (25, 100)):
        IntakeOutcome.objects.create(
            kind="orders", hour_at=NOON - hours * HOUR, outcome="conflict", code="content_differs", report_count=count
        )

    told = answers_of_last_day(now=NOON + dt.timedelta(minutes=59))

    assert told == (Answered("orders", "conflict", "content_differs", 8, NOON),)
