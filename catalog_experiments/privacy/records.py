"""The rows stored under a person's digests, as readable values."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import F, Q

from catalog_experiments.models import Experiment, ExperimentEvent, Order, OrderOutcome, PublishedDocument, UnitAlias
from catalog_experiments.privacy.identity import aliases_naming

Row = dict[str, Any]

# By the key of the table, phase by phase: no index serves a unit alone.
EXPOSURES = """
SELECT experiment.slug AS experiment, phase.number AS phase, met.variant_key AS variant, met.claimed_key AS claimed,
       met.exposed_at, met.recorded_at, met.segments, met.is_mixed, met.is_fault, met.is_merged, met.is_holdout,
       met.excluded_as, met.unit AS digest
FROM catalog_bundle_experiment_phases phase
JOIN catalog_bundle_experiments experiment ON experiment.id = phase.experiment_id
CROSS JOIN unnest(%s::uuid[]) AS known(unit)
CROSS JOIN LATERAL (
    SELECT * FROM catalog_bundle_exposures exposure
    WHERE exposure.retention_month = date_trunc('month', phase.opened_at AT TIME ZONE 'UTC')::date
      AND exposure.experiment_id = phase.experiment_id AND exposure.phase_id = phase.id AND exposure.unit = known.unit
    OFFSET 0) AS met
ORDER BY met.exposed_at, experiment.slug, phase.number
"""

RUNNING_SUMS = """
SELECT to_jsonb(kept) - 'phase_id' - 'unit' || jsonb_build_object(
           'experiment', experiment.slug, 'phase', phase.number, 'digest', kept.unit)
FROM catalog_bundle_experiment_phases phase
JOIN catalog_bundle_experiments experiment ON experiment.id = phase.experiment_id
CROSS JOIN unnest(%s::uuid[]) AS known(unit)
CROSS JOIN LATERAL (
    SELECT * FROM catalog_bundle_experiment_open_units WHERE phase_id = phase.id AND unit = known.unit OFFSET 0) AS kept
ORDER BY kept.cohort_date, experiment.slug, phase.number
"""

ORDER_FIELDS = (
    "order_ref",
    "placed_at",
    "status",
    "cancelled_at",
    "currency",
    "revenue_minor",
    "margin_minor",
    "refunded_minor",
    "lines",
    "offers",
    "accepted_bundles",
    "source",
    "excluded_as",
    "recorded_at",
    "revised_at",
)


def exposures_of(units: list[UUID]) -> list[Row]:
    """Return the units' exposures, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(EXPOSURES, [units])
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def running_sums_of(units: list[UUID]) -> list[Row]:
    """Return what is kept of the units' doings while their cohort day is open, oldest day first."""
    with connection.cursor() as cursor:
        cursor.execute(RUNNING_SUMS, [units])
        return [orjson.loads(text) for (text,) in cursor.fetchall()]


def orders_of(units: list[UUID]) -> list[Row]:
    """Return the units' orders, oldest first, each with what it said about bundles."""
    rows = Order.objects.filter(unit__in=units).order_by("placed_at", "order_ref")
    orders = list(rows.values("id", *ORDER_FIELDS, digest=F("unit")))
    said: dict[UUID, list[Row]] = {order.pop("id"): order.setdefault("outcomes", []) for order in orders}
    outcomes = OrderOutcome.objects.filter(order__in=list(said)).order_by("bundle__bundle_slug")
    for order_id, bundle, accepted in outcomes.values_list("order", "bundle__bundle_slug", "accepted"):
        said[order_id].append({"bundle": bundle, "accepted": accepted})
    return orders


def aliases_of(units: list[UUID]) -> list[Row]:
    """Return the aliases that name one of the units, oldest first; both sides are digests."""
    known = UnitAlias.objects.filter(aliases_naming(units)).order_by("recorded_at")
    return [dict(alias) for alias in known.values("visitor", "customer", "recorded_at")]


def forcing(unit_id: str) -> list[Experiment]:
    """Return the experiments whose forced lists, live or pending, name the raw id."""
    named = Q(forced_units__has_key=unit_id) | Q(pending_changes__forced_units__has_key=unit_id)
    return list(Experiment.objects.filter(named).order_by("pk"))


def documents_naming(unit_id: str) -> list[PublishedDocument]:
    """Return the kept documents that name the raw id on a forced list, oldest first."""
    quoted = orjson.dumps(unit_id).decode()
    held = PublishedDocument.objects.filter(text__contains=quoted).order_by("version")
    return [document for document in held if any(unit_id in entry["forced"] for entry in entries_of(document))]


def entries_of(document: PublishedDocument) -> list[Row]:
    """Return what a document says of each experiment."""
    entries: list[Row] = orjson.loads(document.text)["experiments"]
    return entries


def events_naming(unit_id: str) -> int:
    """Return how many audit events name the raw id on a forced list; they cannot be altered."""
    before, after = Q(before__forced_units__has_key=unit_id), Q(after__forced_units__has_key=unit_id)
    return ExperimentEvent.objects.filter(before | after).count()
