"""One stream of exposures and orders: however it comes in, it ends in the same facts and the same numbers."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.intake import (
    ExposureEvent,
    ItemResult,
    OrderEvent,
    OrderLine,
    record_exposures,
    record_orders,
)
from catalog_experiments.intake.fields import read_segments
from catalog_experiments.models import Bundle, Experiment, Exposure, Order, Phase
from tests.builders import NOON, make_running_experiment

pytestmark = pytest.mark.django_db

DAY, HOUR, MINUTE = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)
NOW = NOON + 40 * DAY
CUP = OrderLine("cup", 1, 2_000, 900)

# Told by the same columns however often rows were written; what follows the clock or the writing is left out: so are
# hours in which outcomes were only revised, since whether one was known before it left depends on what came first.
FACTS = {
    "catalog_bundle_exposures": """phase_id, unit, variant_key, claimed_key, exposed_at, is_mixed, is_fault, is_merged,
        is_holdout, excluded_as, segments::text""",
    "catalog_checkout_orders": """order_ref, unit, placed_at, revenue_minor, margin_minor, refunded_minor, currency,
        lines::text, offers::text, status, source, cancelled_at, excluded_as, content_digest""",
    "catalog_bundle_order_outcomes": """bundle_id, accepted,
        (SELECT order_ref FROM catalog_checkout_orders placed WHERE placed.id = order_id)""",
}
NUMBERS = {
    "catalog_bundle_experiment_moments": """phase_id, variant_key, cohort_date, metric, segment, currency, n, total,
        total_squares, covariate_total, covariate_total_squares, cross_total""",
    "catalog_bundle_experiment_guardrail_tallies WHERE gross_n > 0": """phase_id, variant_key, outcome_hour_at, n,
        accepted, gross_n, gross_accepted""",
    "catalog_bundle_experiment_metrics": """variant_id, window_start, lookback_days, acceptance_rate, acceptance_count,
        sample_size, exposed_count, lift_vs_control, guardrail_breached, breach_reasons::text""",
    "catalog_bundle_acceptance_metrics": "bundle_id, acceptance_rate, acceptance_count, sample_size, last_accepted_at",
}

units = st.integers(0, 5).map("u{}".format)
minutes = st.integers(0, 3 * 24 * 60).map(lambda count: NOON + 32 * DAY + count * MINUTE)
exposures = st.builds(
    ExposureEvent,
    st.just("cup-saucer"),
    units,
    st.sampled_from(["control", "test"]),
    minutes | st.just(NOON + 33 * DAY) | st.just(NOON + DAY),
    segments=st.sampled_from([None, {"device": "phone"}, {"device": "desk", "country": "DE"}, {"city": "Köln"}]),
)


@st.composite
def orders(draw: st.DrawFn) -> OrderEvent:
    """Draw a report of one of six orders: what was ordered never differs, its state does."""
    number = draw(st.integers(0, 5))
    status = draw(st.sampled_from(["pending", "paid", "confirmed", "cancelled"]))
    placed_at = NOON + 33 * DAY + number * 5 * HOUR
    saucer = OrderLine("saucer", 1, 1_000, 400, returned=draw(st.integers(0, 1)))
    return OrderEvent(
        f"A-{number}",
        placed_at,
        "USD" if number == 4 else "EUR",
        (CUP, saucer) if number % 2 else (CUP,),
        unit_id=None if number == 5 else f"u{number}",
        status=status,
        cancelled_at=placed_at + draw(st.integers(1, 60)) * MINUTE if status == "cancelled" else None,
        refunded_minor=draw(st.sampled_from([0, 500])),
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_stream__in_any_order_split_overlap_and_repetition__ends_in_equal_bytes(data: st.DataObject) -> None:
    _running()
    stream = data.draw(st.lists(exposures | orders(), max_size=25))
    shuffled = data.draw(st.permutations([*stream, *stream[:6]]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), min_size=2, max_size=3)))
    aggregated_after = data.draw(st.sets(st.integers(0, 3)))
    _forget()
    _record(stream)
    expected = _facts_and_numbers()
    _forget()

    for place, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(shuffled)], strict=True)):
        _record(shuffled[max(0, start - 2) : end])
        if place in aggregated_after:
            BundleAcceptanceAggregator().recompute(now=NOW)

    assert _facts_and_numbers() == expected


def test_stream__other_content_under_a_known_reference__keeps_the_first_and_counts_the_conflict() -> None:
    _running()
    first = OrderEvent("A-1", NOON + 33 * DAY, "EUR", (CUP,), unit_id="u1")
    other = OrderEvent("A-1", NOON + 33 * DAY, "EUR", (OrderLine("cup", 2, 2_000, 900),), unit_id="u1")
    _record([first])
    expected = _facts_and_numbers()

    results = _record([other, first, other])

    assert [result.outcome for result in results] == ["conflict", "duplicate", "conflict"]
    assert _facts_and_numbers() == expected


@pytest.mark.parametrize("segments", [{"b": "1", "aa": "2"}, {"city": "Köln", "x": 'a"b\\c'}, {"k": "line\nfeed\x01"}])
def test_read_segments__bytes__are_those_of_the_database(segments: dict[str, str]) -> None:
    read = read_segments(segments)

    assert read is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb::text", [read.decode()])
        assert cursor.fetchone() == (read.decode(),)


def _running() -> None:
    if not Experiment.objects.exists():
        make_running_experiment(now=NOON)
        Bundle.objects.filter(bundle_slug="cup-saucer-control").update(components=[{"slug": "cup", "quantity": 1}])
        Phase.objects.update(segments=["device", "country"], caps={"revenue": 2_500})


def _record(events: Iterable[Any]) -> list[ItemResult]:
    """Record a piece of the stream: exposures and orders come by two roads."""
    known: Sequence[Any] = list(events)
    seen = [event for event in known if isinstance(event, ExposureEvent)]
    bought = [event for event in known if isinstance(event, OrderEvent)]
    return [*record_exposures(seen, now=NOW), *record_orders(bought, now=NOW)]


def _facts_and_numbers() -> dict[str, list[Any]]:
    BundleAcceptanceAggregator().recompute(now=NOW)
    return {table: _rows(table, columns) for table, columns in (FACTS | NUMBERS).items()}


def _rows(table: str, columns: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table}")
        return sorted(cursor.fetchall(), key=repr)


def _forget() -> None:
    """Take everything out again, the numbers by counting nothing."""
    Order.objects.all().delete()
    Exposure.objects.all().delete()
    with connection.cursor() as cursor:
        for table in ("cursors", "cohorts", "open_units", "moments", "guardrail_tallies", "metrics", "telemetry_hours"):
            cursor.execute(f"DELETE FROM catalog_bundle_experiment_{table}")
        for table in ("metrics", "hours"):
            cursor.execute(f"DELETE FROM catalog_bundle_acceptance_{table}")
