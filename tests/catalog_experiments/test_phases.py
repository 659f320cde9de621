"""Phases: what is frozen when one opens, what makes another one necessary, and where its exposures go."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from catalog_experiments.models import Experiment, Order, Phase, PhaseOrigin, PrimaryMetric
from catalog_experiments.phases import (
    close_phase,
    ensure_exposure_partition,
    open_phase,
    partitions,
    reasons_for_new_phase,
    record_unserved_from,
    record_unserved_to,
    refresh_rules,
)
from tests.builders import NOON, make_bundle, make_experiment

pytestmark = pytest.mark.django_db

LATER = NOON + dt.timedelta(hours=3)


def make_order(number: int, revenue: int, *, margin: int | None = None, days_before: int = 3, **fields: Any) -> Order:
    placed_at = NOON - dt.timedelta(days=days_before)
    defaults: dict[str, Any] = {
        "order_ref": f"order-{number}",
        "unit": uuid.UUID(int=number),
        "currency": "EUR",
        "status": "paid",
        "margin_minor": revenue // 2 if margin is None else margin,
        "content_digest": uuid.UUID(int=number),
    }
    return Order.objects.create(
        placed_at=placed_at,
        recorded_at=placed_at,
        revised_at=placed_at,
        revenue_minor=revenue,
        **(defaults | fields),
    )


def test_open_phase__of_a_draft__freezes_variants_bundles_and_rules() -> None:
    experiment = make_experiment(guardrail_config={"min_acceptance_rate": 0.1, "alpha": 0.02}, sample_size_guardrail=80)

    phase = open_phase(experiment, reason="published", now=NOON)

    assert (phase.number, phase.opened_at, phase.origin, len(phase.salt)) == (1, NOON, "published", 16)
    assert [(v["key"], v["is_control"], v["weight"]) for v in phase.variants] == [
        ("control", True, 50),
        ("test", False, 50),
    ]
    assert phase.variants[0]["bundle"] == {
        "slug": "cup-saucer-control",
        "title": "Take the saucer with the cup",
        "description": "",
        "savings_copy": "Save 10 %",
        "components": [{"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 1}],
        "price_minor": 3240,
        "currency": "EUR",
    }
    assert (phase.anchor_product_slug, phase.currency, phase.window_days) == ("cup", "EUR", 7)
    assert (phase.bounds, phase.alpha, phase.minimum_sample) == (experiment.guardrail_config, 0.02, 80)
    assert Experiment.objects.get().current_phase == phase


def test_open_phase__without_an_own_sample_guardrail__takes_the_older_alias() -> None:
    experiment = make_experiment(guardrail_config={"min_sample_size": 120}, sample_size_guardrail=0)

    assert open_phase(experiment, reason="", now=NOON).minimum_sample == 120


def test_open_phase__on_an_open_one__closes_it_and_takes_the_next_number_and_another_salt() -> None:
    experiment = make_experiment()
    first = open_phase(experiment, reason="published", now=NOON)
    record_unserved_from(first, NOON + dt.timedelta(hours=1))

    second = open_phase(experiment, reason="weights", now=LATER)

    first.refresh_from_db()
    assert (first.closed_at, first.unserved_spans[-1][1]) == (LATER, LATER.isoformat())
    assert (second.number, second.salt != first.salt) == (2, True)


def test_open_phase__with_a_history_of_orders__caps_money_at_its_quantile() -> None:
    for number in range(1, 1001):
        make_order(number, revenue=number * 100)
    make_order(5000, revenue=9_999_999, days_before=29)
    make_order(5001, revenue=9_999_999, currency="USD")
    make_order(5002, revenue=9_999_999, status="cancelled", cancelled_at=NOON)

    phase = open_phase(make_experiment(), reason="published", now=NOON)

    assert phase.caps == {"revenue": 99_900, "margin": 49_950}


def test_open_phase__with_two_orders_of_one_unit__caps_their_sum() -> None:
    make_order(1, revenue=1000)
    make_order(2, revenue=500, unit=uuid.UUID(int=1))

    assert open_phase(make_experiment(), reason="", now=NOON).caps["revenue"] == 1500


def test_open_phase__without_history__has_no_caps() -> None:
    assert open_phase(make_experiment(), reason="", now=NOON).caps == {}


def test_open_phase__imported__takes_nothing_from_the_shops_orders() -> None:
    make_order(1, revenue=1000)

    phase = open_phase(make_experiment(), reason="", now=NOON, origin=PhaseOrigin.IMPORTED, salt="fixed in advance")

    assert (phase.caps, phase.primary_metric, phase.salt) == ({}, PrimaryMetric.REVENUE, "fixed in advance")


@pytest.mark.parametrize(
    ("chosen", "bundle_cost", "order_margin", "expected"),
    [
        ("", 1500, 100, "margin"),
        ("", None, 100, "revenue"),
        ("conversion", 1500, 100, "conversion"),
    ],
)
def test_primary_metric__follows_the_choice_then_the_known_costs(
    chosen: str, bundle_cost: int | None, order_margin: int | None, expected: str
) -> None:
    bundle = make_bundle(cost_minor=bundle_cost)
    variants = [{"key": "control", "name": "C", "is_control": True}, {"key": "test", "name": "T", "bundle": bundle}]
    experiment = make_experiment(primary_metric=chosen, variants=variants)
    make_order(1, revenue=1000, margin=order_margin)

    assert open_phase(experiment, reason="", now=NOON).primary_metric == expected


def test_primary_metric__with_an_order_of_unknown_cost__is_revenue() -> None:
    make_order(1, revenue=1000)
    Order.objects.update(margin_minor=None)

    assert open_phase(make_experiment(), reason="", now=NOON).primary_metric == "revenue"


def test_gap__recorded_twice__is_one_span_and_ends_once() -> None:
    phase = open_phase(make_experiment(), reason="", now=NOON)

    record_unserved_from(phase, NOON)
    record_unserved_from(phase, LATER)
    record_unserved_to(phase, LATER)
    record_unserved_to(phase, LATER + dt.timedelta(hours=1))

    assert Phase.objects.get().unserved_spans == [[NOON.isoformat(), LATER.isoformat()]]


def test_close_phase__by_a_clock_behind_its_opening__never_ends_before_it_began() -> None:
    phase = open_phase(make_experiment(), reason="", now=NOON)

    close_phase(phase, now=NOON - dt.timedelta(minutes=1))

    assert Phase.objects.get().closed_at == NOON


def test_second_open_phase__written_past_the_code__is_refused_by_the_database() -> None:
    experiment = make_experiment()
    open_phase(experiment, reason="", now=NOON)

    with pytest.raises(DatabaseError, match="phase_one_open"), transaction.atomic():
        Phase.objects.create(experiment=experiment, number=2, salt="other", opened_at=NOON)


def test_refresh_rules__of_an_edited_threshold__changes_the_open_phase_once() -> None:
    experiment = make_experiment()
    phase = open_phase(experiment, reason="", now=NOON)
    experiment.guardrail_config = {"min_acceptance_rate": 0.2}

    assert refresh_rules(experiment, phase)
    assert not refresh_rules(experiment, phase)
    assert Phase.objects.get().bounds == {"min_acceptance_rate": 0.2}


def test_reasons__for_the_experiment_as_it_was__are_none() -> None:
    experiment = make_experiment()
    phase = open_phase(experiment, reason="", now=NOON)

    assert reasons_for_new_phase(experiment, phase) == ()


def test_reasons__for_weights_in_the_same_ratio__are_none() -> None:
    experiment = make_experiment()
    phase = open_phase(experiment, reason="", now=NOON)
    experiment.variants.update(weight=1)

    assert reasons_for_new_phase(experiment, phase) == ()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("planned_sample_size", 1000, "planned sample"),
        ("attribution_window_days", 14, "attribution window"),
        ("primary_metric", "conversion", "primary metric"),
        ("guardrail_config", {"min_acceptance_rate": 0.1, "pause_rule": "persistent"}, "guardrail rules"),
    ],
)
def test_reasons__for_another_rule__name_it(field: str, value: object, reason: str) -> None:
    experiment = make_experiment()
    phase = open_phase(experiment, reason="", now=NOON)
    setattr(experiment, field, value)

    assert reasons_for_new_phase(experiment, phase) == (reason,)


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [({"drop_metric": "revenue"}, ("guardrail rules",)), ({"max_drop_vs_control": 0.3}, ()), ({}, ())],
)
def test_reasons__for_another_metric_of_the_drop__name_it(changed: dict[str, object], reasons: tuple[str, ...]) -> None:
    experiment = make_experiment(guardrail_config={"max_drop_vs_control": 0.2})
    phase = open_phase(experiment, reason="", now=NOON)
    experiment.guardrail_config = experiment.guardrail_config | changed

    assert reasons_for_new_phase(experiment, phase) == reasons


def exposure_partitions() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'catalog_bundle_exposures'::regclass"
        )
        return {name for (name,) in cursor.fetchall()}


def insert_exposure(experiment: Experiment, phase: Phase, month: dt.date) -> str:
    """Write one exposure of a month and return the partition it lies in."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalog_bundle_exposures (id, retention_month, experiment_id, phase_id, unit, variant_key,"
            " exposed_at, recorded_at) VALUES (%s, %s, %s, %s, %s, 'test', %s, %s) RETURNING tableoid::regclass::text",
            [uuid.uuid4(), month, experiment.pk, phase.pk, uuid.uuid4(), NOON, NOON],
        )
        return str(cursor.fetchone()[0])


def test_partition__of_the_phases_month__takes_its_exposures() -> None:
    experiment = make_experiment()
    phase = open_phase(experiment, reason="", now=NOON)

    assert insert_exposure(experiment, phase, dt.date(2026, 3, 1)) == "catalog_bundle_exposures_2026_03"
    assert insert_exposure(experiment, phase, dt.date(2031, 1, 1)) == "catalog_bundle_exposures_default"


def test_partition__of_december__ends_with_the_year() -> None:
    assert ensure_exposure_partition(dt.date(2030, 12, 31))
    assert ensure_exposure_partition(dt.date(2030, 12, 1))

    assert "catalog_bundle_exposures_2030_12" in exposure_partitions()


def test_partition__whose_rows_lie_in_the_default_one__is_left_there_and_said(caplog: pytest.LogCaptureFixture) -> None:
    experiment = make_experiment()
    phase = open_phase(experiment, reason="", now=NOON)
    insert_exposure(experiment, phase, dt.date(2029, 5, 1))

    made = ensure_exposure_partition(dt.date(2029, 5, 20))

    assert not made
    assert "2029-05 go to the default partition" in caplog.text
    assert Phase.objects.count() == 1  # the transaction goes on


def test_partition__leaves_the_lock_timeout_of_the_transaction_as_it_was() -> None:
    ensure_exposure_partition(dt.date(2030, 6, 1))

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        assert cursor.fetchone()[0] == "2s"
    assert partitions.PARENT == "catalog_bundle_exposures"
