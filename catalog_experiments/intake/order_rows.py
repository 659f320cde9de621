"""The statements that write orders and outcomes: whole batches at once, rows locked by reference, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from catalog_experiments.intake.events import OrderLine
from catalog_experiments.intake.order_state import OrderRecord, OrderState, margin_minor
from catalog_experiments.models import Order
from catalog_experiments.models.fields import time_ordered_id

INSERT = """
INSERT INTO catalog_checkout_orders (
    id, order_ref, unit, placed_at, revenue_minor, margin_minor, refunded_minor, currency, lines, accepted_bundles,
    offers, status, source, cancelled_at, content_digest, recorded_at, revised_at)
SELECT new.*, now_at, now_at FROM (SELECT clock_timestamp() AS now_at) AS clock, jsonb_to_recordset(%s::jsonb) AS new(
    id uuid, order_ref text, unit uuid, placed_at timestamptz, revenue_minor bigint, margin_minor bigint,
    refunded_minor bigint, currency text, lines jsonb, accepted_bundles jsonb, offers jsonb, status text, source text,
    cancelled_at timestamptz, content_digest uuid)
ORDER BY new.order_ref
ON CONFLICT (order_ref) DO NOTHING
RETURNING order_ref, id
"""

REVISE = """
UPDATE catalog_checkout_orders AS kept SET
    status = new.status, cancelled_at = new.cancelled_at, refunded_minor = new.refunded_minor,
    margin_minor = new.margin_minor, lines = new.lines, revised_at = clock_timestamp()
FROM jsonb_to_recordset(%s::jsonb) AS new(
    id uuid, status text, cancelled_at timestamptz, refunded_minor bigint, margin_minor bigint, lines jsonb)
WHERE kept.id = new.id
"""

INSERT_OUTCOMES = """
INSERT INTO catalog_bundle_order_outcomes (id, order_id, bundle_id, accepted)
SELECT id, order_id, bundle_id, accepted
FROM jsonb_to_recordset(%s::jsonb) AS new(id uuid, order_id uuid, bundle_id uuid, accepted boolean)
ON CONFLICT (order_id, bundle_id) DO NOTHING
"""

WITHDRAW_OUTCOMES = """
UPDATE catalog_bundle_order_outcomes AS kept SET accepted = false
FROM jsonb_to_recordset(%s::jsonb) AS new(order_id uuid, bundle_id uuid)
WHERE kept.order_id = new.order_id AND kept.bundle_id = new.bundle_id AND kept.accepted
"""


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """What is known of an order already: its key, the digest of its content, and its state."""

    order_id: UUID
    digest: UUID
    state: OrderState


def insert(orders: Sequence[OrderRecord]) -> dict[str, UUID]:
    """Insert the orders that are new and return their ids by reference; a reference that exists is left alone."""
    if not orders:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [_json([_row(order) for order in orders])])
        return dict(cursor.fetchall())


def insert_outcomes(outcomes: Iterable[tuple[UUID, UUID, bool]]) -> None:
    """Insert (order id, bundle id, accepted) rows."""
    rows = [
        {"id": time_ordered_id(), "order_id": order_id, "bundle_id": bundle_id, "accepted": accepted}
        for order_id, bundle_id, accepted in outcomes
    ]
    _execute(INSERT_OUTCOMES, rows)


def locked(refs: Iterable[str]) -> dict[str, StoredOrder]:
    """Lock the orders with these references, in their order, and return them by reference."""
    wanted = sorted(refs)
    if not wanted:
        return {}
    rows = Order.objects.select_for_update().filter(order_ref__in=wanted).order_by("order_ref")
    fields = ("order_ref", "id", "content_digest", "status", "cancelled_at", "refunded_minor", "lines")
    return {
        ref: StoredOrder(order_id, digest, OrderState(status, cancelled_at, refunded_minor, _returned(lines)))
        for ref, order_id, digest, status, cancelled_at, refunded_minor, lines in rows.values_list(*fields)
    }


def revise(orders: Iterable[tuple[StoredOrder, OrderRecord]]) -> None:
    """Store the state of locked orders."""
    rows = [
        {
            "id": stored.order_id,
            "status": order.state.status,
            "cancelled_at": order.state.cancelled_at,
            "refunded_minor": order.state.refunded_minor,
            "margin_minor": margin_minor(order.lines),
            "lines": [_line(line) for line in order.lines],
        }
        for stored, order in orders
    ]
    _execute(REVISE, rows)


def withdraw_outcomes(outcomes: Iterable[tuple[UUID, UUID]]) -> None:
    """Mark (order id, bundle id) outcomes as not accepted."""
    _execute(WITHDRAW_OUTCOMES, [{"order_id": order_id, "bundle_id": bundle_id} for order_id, bundle_id in outcomes])


def _execute(statement: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, [_json(rows)])


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _row(order: OrderRecord) -> dict[str, Any]:
    return {
        "id": time_ordered_id(),
        "order_ref": order.ref,
        "unit": order.unit,
        "placed_at": order.placed.at,
        "revenue_minor": order.revenue_minor,
        "margin_minor": margin_minor(order.lines),
        "refunded_minor": order.state.refunded_minor,
        "currency": order.currency,
        "lines": [_line(line) for line in order.lines],
        "accepted_bundles": order.accepted_bundles,
        "offers": order.offers,
        "status": order.state.status,
        "source": order.source,
        "cancelled_at": order.state.cancelled_at,
        "content_digest": order.digest,
    }


def _line(line: OrderLine) -> dict[str, Any]:
    known = {
        "slug": line.slug,
        "quantity": line.quantity,
        "price_minor": line.price_minor,
        "cost_minor": line.cost_minor,
    }
    return known | ({"returned": line.returned} if line.returned else {})


def _returned(lines: list[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(line.get("returned", 0) for line in lines)
