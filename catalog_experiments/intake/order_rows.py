"""The statements that write orders and outcomes: whole batches at once, rows locked by reference, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import IntegrityError, connection, transaction
from uuid_utils import uuid7

from catalog_experiments.intake import columns
from catalog_experiments.intake.events import OrderLine
from catalog_experiments.intake.order_state import OrderRecord, OrderState, margin_minor
from catalog_experiments.intake.steps import NOTHING, Steps, Work, one_by_one

COPIED_FROM = 500
"""Rows of a chunk from which on they are copied, in the hope that all are new; fewer are inserted in one statement."""

TABLE = """catalog_checkout_orders (
    id, order_ref, unit, placed_at, revenue_minor, margin_minor, refunded_minor, currency, lines, accepted_bundles,
    offers, status, source, cancelled_at, excluded_as, content_digest, recorded_at, revised_at)"""
OUTCOMES = "catalog_bundle_order_outcomes (id, order_id, bundle_id, accepted)"

# Rows come in the order of their reference, so that two batches lock alike. Which are new is told
# only when not all are.
INSERT = """
WITH added AS (
INSERT INTO catalog_checkout_orders (
    id, order_ref, unit, placed_at, revenue_minor, margin_minor, refunded_minor, currency, lines, accepted_bundles,
    offers, status, source, cancelled_at, excluded_as, content_digest, recorded_at, revised_at)
SELECT new.*, now_at, now_at FROM (SELECT clock_timestamp() AS now_at) AS clock, unnest(
    %s::uuid[], %s::text[], %s::uuid[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[],
    %s::jsonb[], %s::jsonb[], %s::jsonb[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::uuid[]) AS new
ON CONFLICT (order_ref) DO NOTHING
RETURNING order_ref)
SELECT count(*), CASE WHEN count(*) < %s THEN array_agg(order_ref) END FROM added
"""

KNOWN = "SELECT order_ref FROM catalog_checkout_orders WHERE order_ref = ANY(%s)"

LOCK = """
SELECT order_ref, id, content_digest, status, cancelled_at, refunded_minor,
       ARRAY(SELECT COALESCE((line ->> 'returned')::bigint, 0) FROM jsonb_array_elements(lines) AS line), excluded_as
FROM catalog_checkout_orders WHERE order_ref = ANY(%s) ORDER BY order_ref COLLATE "C" FOR UPDATE
"""

REVISE = """
UPDATE catalog_checkout_orders AS kept SET
    status = new.status, cancelled_at = new.cancelled_at,
    is_withdrawn = kept.is_withdrawn OR (kept.status IN ('paid', 'confirmed') AND new.status = 'cancelled'),
    refunded_minor = new.refunded_minor,
    margin_minor = new.margin_minor, lines = new.lines, excluded_as = new.excluded_as, revised_at = clock_timestamp()
FROM jsonb_to_recordset(%s::jsonb) AS new(
    id uuid, status text, cancelled_at timestamptz, refunded_minor bigint, margin_minor bigint, lines jsonb,
    excluded_as text)
WHERE kept.id = new.id
"""

WITHDRAW_OUTCOMES = """
UPDATE catalog_bundle_order_outcomes AS kept SET accepted = false, is_withdrawn = true
FROM jsonb_to_recordset(%s::jsonb) AS new(order_id uuid, bundle_id uuid)
WHERE kept.order_id = new.order_id AND kept.bundle_id = new.bundle_id AND kept.accepted
"""


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """What is known of an order already: its key, the digest of its content, and its state."""

    order_id: UUID
    digest: bytes
    state: OrderState


class Rows(NamedTuple):
    """Orders ready to be sent: their ids by reference, and their columns in the order of `TABLE` but for the times."""

    ids: Mapping[str, bytes]
    columns: Sequence[columns.Column]


Outcome = tuple[str, bytes, bool]
"""Of an order by its reference: the id of a bundle, and whether the order took it."""


def lay_out(orders: Iterable[OrderRecord]) -> Steps[Rows]:
    """Lay out the rows of orders of different references, in the order of these, a column at each step."""
    known = sorted(orders, key=_reference)
    ids = {order.ref: uuid7().bytes for order in known}
    return Rows(ids, (yield from one_by_one(_columns(ids.values(), known))))


def insert(rows: Rows, *, is_hoped_new: bool, meanwhile: Work) -> dict[str, bytes]:
    """Insert the orders that are new and return their ids by reference; a reference that exists is left alone.

    `is_hoped_new` says that all of them may be new: then many are copied first, at three quarters of the cost. While
    the database works, `meanwhile` goes on. Call it inside a transaction.
    """
    count = len(rows.ids)
    if not count:
        return {}
    if is_hoped_new and count >= COPIED_FROM and _are_copied(rows, meanwhile):
        return dict(rows.ids)
    [(inserted, added)] = columns.fetch(INSERT, [*rows.columns, count], meanwhile=meanwhile)
    refs = rows.ids if inserted == count else added or ()
    return {ref: rows.ids[ref] for ref in refs}


def insert_outcomes(inserted: Mapping[str, bytes], outcomes: Sequence[Outcome], *, meanwhile: Work) -> None:
    """Insert the outcomes of orders that this transaction inserted; those of others are passed over."""
    rows = [outcome for outcome in outcomes if outcome[0] in inserted]
    if not rows:
        return
    columns.copy(OUTCOMES, list(_outcome_columns(inserted, rows)), meanwhile=meanwhile)


def known(refs: Iterable[str], *, meanwhile: Work = NOTHING) -> frozenset[str]:
    """Return those references that are stored already: there is no point in sending their orders again."""
    return frozenset(ref for (ref,) in columns.fetch(KNOWN, [list(refs)], meanwhile=meanwhile))


def lock(refs: Iterable[str], *, meanwhile: Work) -> dict[str, StoredOrder]:
    """Lock the orders with these references, in their order, and return them by reference."""
    wanted = list(refs)
    rows = columns.fetch(LOCK, [wanted], meanwhile=meanwhile) if wanted else ()
    return {
        ref: StoredOrder(order_id, digest.bytes, OrderState(status, cancelled_at, refunded, tuple(returned), excluded))
        for ref, order_id, digest, status, cancelled_at, refunded, returned, excluded in rows
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
            "excluded_as": order.state.excluded_as,
        }
        for stored, order in orders
    ]
    _execute(REVISE, rows)


def withdraw_outcomes(outcomes: Iterable[tuple[UUID, UUID]]) -> None:
    """Mark (order id, bundle id) outcomes as not accepted."""
    _execute(WITHDRAW_OUTCOMES, [{"order_id": order_id, "bundle_id": bundle_id} for order_id, bundle_id in outcomes])


def _are_copied(rows: Rows, meanwhile: Work) -> bool:
    [(now,)] = columns.fetch("SELECT clock_timestamp()", [])
    try:
        with transaction.atomic():
            times = columns.moments([now] * len(rows.ids))
            columns.copy(TABLE, [*rows.columns, times, times], meanwhile=meanwhile)
    except IntegrityError:
        return False  # one of them is known; rows before it are left for the vacuum
    return True


def _execute(statement: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, [_json(rows)])


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _reference(order: OrderRecord) -> str:
    return order.ref


def _columns(ids: Iterable[bytes], orders: Sequence[OrderRecord]) -> Iterator[columns.Column]:
    states = [order.state for order in orders]
    yield columns.uuids(list(ids))
    yield columns.texts([order.ref for order in orders])
    yield columns.uuids([order.unit for order in orders])
    yield columns.moments([order.placed.at for order in orders])
    yield columns.wholes([order.revenue_minor for order in orders])
    yield columns.wholes([margin_minor(order.lines) for order in orders])
    yield columns.wholes([state.refunded_minor for state in states])
    yield columns.labels([order.currency for order in orders])
    yield columns.documents([orjson.dumps([_line(line) for line in order.lines]) for order in orders])
    yield columns.documents([_names(order.accepted_bundles) for order in orders])
    yield columns.descriptions([orjson.dumps(order.offers) if order.offers else b"[]" for order in orders])
    yield columns.labels([state.status for state in states])
    yield columns.labels([order.source for order in orders])
    yield columns.moments([state.cancelled_at for state in states])
    yield columns.labels([state.excluded_as for state in states])
    yield columns.uuids([order.digest for order in orders])


def _outcome_columns(ids: Mapping[str, bytes], outcomes: Sequence[Outcome]) -> Iterator[columns.Column]:
    yield columns.uuids([uuid7().bytes for _ in outcomes])
    yield columns.uuids([ids[ref] for ref, _, _ in outcomes])
    yield columns.uuids([bundle for _, bundle, _ in outcomes])
    yield columns.flags([is_taken for _, _, is_taken in outcomes])


def _names(bundles: tuple[str, ...] | None) -> bytes | None:
    return None if bundles is None else orjson.dumps(bundles)


def _line(line: OrderLine) -> dict[str, Any]:
    known: dict[str, Any] = {
        "slug": line.slug,
        "quantity": line.quantity,
        "price_minor": line.price_minor,
        "cost_minor": line.cost_minor,
    }
    if line.returned:
        known["returned"] = line.returned
    return known
