# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""Which phases a statement counts, and how: handed to SQL as two small relations, spans and offered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from catalog_experiments.intake import ServedSpan, retention_month, served_spans
from catalog_experiments.models import Bundle, Phase

FOREVER = "infinity"
FROM_THE_START = "-infinity"

# One row per served span of a phase. A unit belongs to the span of its exposure; what reaches past `served_to` is cut.
SPANS = """
spans AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(spans)s::jsonb) AS span(
        phase_id uuid, experiment_id uuid, month date, served_from timestamptz, served_to timestamptz,
        attribution interval, since timestamptz, currency text, revenue_cap bigint, margin_cap bigint))"""

# One row per variant of a phase; `bundle_id` is null for a variant that offers nothing.
OFFERED = """
offered AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(offered)s::jsonb) AS offer(phase_id uuid, variant_key text, bundle_id uuid))"""

# Which exposures count, whole spans of them; the lists and bounds let the planner leave the rest alone.
COUNTS = "NOT (exposure.is_mixed OR exposure.is_fault OR exposure.is_merged OR exposure.is_holdout)"
EXPOSURES_OF_SPAN = f"""catalog_bundle_exposures exposure
    ON exposure.phase_id = span.phase_id AND {COUNTS}
    AND exposure.exposed_at >= span.served_from AND exposure.exposed_at < span.served_to
    AND exposure.retention_month = ANY(%(months)s) AND exposure.phase_id = ANY(%(phases)s)
    AND exposure.exposed_at >= %(first_at)s::timestamptz AND exposure.exposed_at < %(last_at)s::timestamptz"""

# The exposure of one unit, by the key of the table; `{unit}` is its digest. `OFFSET 0` keeps the look-up behind the
# unit it is for: without statistics the planner would rather read the whole phase.
EXPOSURE_OF_UNIT = f"""LATERAL (
    SELECT experiment_id, phase_id, unit, variant_key, exposed_at FROM catalog_bundle_exposures exposure
    WHERE exposure.retention_month = span.month AND exposure.experiment_id = span.experiment_id
        AND exposure.phase_id = span.phase_id AND exposure.unit = {{unit}} AND {COUNTS}
        AND exposure.exposed_at >= span.served_from AND exposure.exposed_at < span.served_to OFFSET 0) exposure"""

# Orders whose state changed lately.
NEWS = """
news AS MATERIALIZED (
    SELECT id, order_ref, unit, placed_at, revised_at FROM catalog_checkout_orders
    WHERE revised_at >= %(since)s AND unit IS NOT NULL)"""

# Every exposure of a phase recorded lately, also one that no longer counts.
EXPOSURES_RECORDED_SINCE = """catalog_bundle_exposures exposure
    ON exposure.phase_id = span.phase_id AND exposure.recorded_at >= span.since
    AND exposure.retention_month = ANY(%(months)s) AND exposure.phase_id = ANY(%(phases)s)
    AND exposure.recorded_at >= %(since)s"""

ELIGIBLE = "('paid', 'confirmed')"
ELIGIBLE_BEFORE_CANCELLATIONS = "('paid', 'confirmed', 'cancelled')"


@dataclass(frozen=True, slots=True)
class Scope:
    """Phases to count, with the served spans assumed and, for a refresh, since when facts may be news.

    `since` maps a phase id to a moment of the database's clock; a phase that is absent is counted whole.
    """

    phases: tuple[Phase, ...]
    spans: Mapping[UUID, tuple[ServedSpan, ...]]
    since: Mapping[UUID, datetime]

    @classmethod
    def of(cls, phases: Iterable[Phase]) -> Scope:
        """Return the scope that counts the phases whole."""
        known = tuple(phases)
        return cls(known, {phase.pk: served_spans(phase) for phase in known}, {})

    def split(self) -> tuple[Scope, Scope]:
        """Return the phases to count whole, and those to refresh."""
        whole = tuple(phase for phase in self.phases if phase.pk not in self.since)
        known = tuple(phase for phase in self.phases if phase.pk in self.since)
        return Scope(whole, self.spans, {}), Scope(known, self.spans, self.since)

    def parameters(self) -> dict[str, Any]:
        """Return what the statements of this package are given."""
        return {
            "phases": [phase.pk for phase in self.phases],
            "months": sorted({retention_month(phase.opened_at) for phase in self.phases}),
            "since": min(self.since.values(), default=None),
            "first_at": min((span.start_at for spans in self.spans.values() for span in spans), default=FOREVER),
            "last_at": FOREVER,
            "orders_to": FOREVER,
            "spans": orjson.dumps([row for phase in self.phases for row in self._span_rows(phase)]).decode(),
            "offered": orjson.dumps(_arm_rows(self.phases)).decode(),
        }

    def _span_rows(self, phase: Phase) -> list[dict[str, Any]]:
        return [
            {
                "phase_id": phase.pk,
                "experiment_id": phase.experiment_id,
                "month": retention_month(phase.opened_at),
                "served_from": span.start_at,
                "served_to": span.end_at or FOREVER,
                "attribution": f"{24 * phase.window_days} hours",
                "since": self.since.get(phase.pk, FROM_THE_START),
                "currency": phase.currency,
                "revenue_cap": phase.caps.get("revenue"),
                "margin_cap": phase.caps.get("margin"),
            }
            for span in self.spans[phase.pk]
        ]


def _arm_rows(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    slugs = {variant["bundle_slug"] for phase in phases for variant in phase.variants if variant["bundle_slug"]}
    ids = dict(Bundle.objects.filter(bundle_slug__in=slugs).values_list("bundle_slug", "pk"))
    return [
        {"phase_id": phase.pk, "variant_key": variant["key"], "bundle_id": ids.get(variant["bundle_slug"])}
        for phase in phases
        for variant in phase.variants
    ]


@contextmanager
def without_nested_loops() -> Iterator[None]:
    """Plan the statements of the block with hash and merge joins alone; call it inside a transaction.

    Relations made inside a statement have no statistics: the planner takes them for a handful of rows, and a nested
    loop over two of them never ends once a phase holds a hundred thousand units.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield
        cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")


def fetch(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
