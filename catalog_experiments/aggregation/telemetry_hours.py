"""What came in by the hour: exposures of each phase, and whether orders of its product still find their visitor.

What silence and a falling join rate are seen from. Only the newest hours are counted again, so that a tick reads
minutes of facts, whatever the history.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection
from django.db.models import OuterRef, Subquery

from catalog_experiments.aggregation.scope import Scope
from catalog_experiments.intake import retention_month, served_spans
from catalog_experiments.models import Phase, TelemetryHour

HISTORY = timedelta(days=28)
"""How far back a phase that was never counted is counted."""

RECOUNTED = timedelta(hours=2)
"""Hours behind the newest that a tick counts again, for events that come late."""

RECOUNTED_BY_RUNS = timedelta(hours=26)
"""Hours behind the newest that a run over everything counts again."""

AFTER_CLOSING = timedelta(days=1)

# The newest hour of each phase is stored even when nothing came in: it says how far the phase was counted.
COUNT = """
WITH wanted AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(wanted)s::jsonb) AS span(
        phase_id uuid, experiment_id uuid, month date, since timestamptz, until timestamptz, currency text)
),
offered AS MATERIALIZED (
    SELECT DISTINCT phase_id, bundle_id
    FROM jsonb_to_recordset(%(offered)s::jsonb) AS offer(phase_id uuid, bundle_id uuid)
    WHERE bundle_id IS NOT NULL
),
met AS (
    SELECT wanted.phase_id, date_trunc('hour', exposure.exposed_at, 'UTC') AS hour_at, count(*) AS exposed
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT exposed_at FROM catalog_bundle_exposures
        WHERE retention_month = wanted.month AND phase_id = wanted.phase_id AND excluded_as IS NULL
            AND exposed_at >= wanted.since AND exposed_at < wanted.until OFFSET 0
    ) exposure
    GROUP BY 1, 2
),
recent AS MATERIALIZED (
    SELECT id, unit, placed_at, currency FROM catalog_checkout_orders
    WHERE placed_at >= %(first_at)s AND placed_at < %(last_at)s AND excluded_as IS NULL
        AND status <> 'pending'
),
anchored AS (
    SELECT DISTINCT wanted.phase_id, wanted.experiment_id, wanted.month, wanted.currency AS own_currency, recent.*
    FROM recent
    JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = recent.id
    JOIN offered ON offered.bundle_id = outcome.bundle_id
    JOIN wanted ON wanted.phase_id = offered.phase_id
        AND recent.placed_at >= wanted.since AND recent.placed_at < wanted.until
),
bought AS (
    SELECT anchored.phase_id, date_trunc('hour', anchored.placed_at, 'UTC') AS hour_at, count(*) AS orders,
           count(exposure.unit) AS joined,
           count(exposure.unit) FILTER (WHERE anchored.currency <> anchored.own_currency) AS of_others
    FROM anchored
    LEFT JOIN catalog_bundle_exposures exposure
        ON exposure.retention_month = anchored.month AND exposure.experiment_id = anchored.experiment_id
        AND exposure.phase_id = anchored.phase_id AND exposure.unit = anchored.unit
    GROUP BY 1, 2
),
cells AS (
    SELECT phase_id, hour_at, COALESCE(exposed, 0) AS exposed, COALESCE(orders, 0) AS orders,
           COALESCE(joined, 0) AS joined, COALESCE(of_others, 0) AS of_others
    FROM met FULL JOIN bought USING (phase_id, hour_at)
    FULL JOIN (SELECT unnest(%(phases)s) AS phase_id, %(newest)s::timestamptz AS hour_at) AS newest
        USING (phase_id, hour_at)
)
INSERT INTO catalog_bundle_experiment_telemetry_hours AS kept (
    id, phase_id, hour_at, exposed_count, order_count, joined_count, foreign_count)
SELECT gen_random_uuid(), cells.* FROM cells ORDER BY phase_id, hour_at
ON CONFLICT (phase_id, hour_at) DO UPDATE SET
    exposed_count = excluded.exposed_count, order_count = excluded.order_count,
    joined_count = excluded.joined_count, foreign_count = excluded.foreign_count
WHERE (kept.exposed_count, kept.order_count, kept.joined_count, kept.foreign_count)
    IS DISTINCT FROM (excluded.exposed_count, excluded.order_count, excluded.joined_count, excluded.foreign_count)
"""


def update_telemetry_hours(phases: Iterable[Phase], *, now: datetime, recounted: timedelta = RECOUNTED) -> None:
    """Count the newest hours of the phases, up to `now`; a constant number of statements for any number of them.

    Safe to repeat. Hours in which a phase did not serve hold nothing of it; one that closed a day ago is left alone.
    """
    known = [phase for phase in phases if phase.closed_at is None or phase.closed_at > now - AFTER_CLOSING]
    if not known:
        return
    spans = [row for phase in _with_newest(known) for row in _span_rows(phase, now, recounted)]
    parameters = {
        "phases": [phase.pk for phase in known],
        "wanted": orjson.dumps(spans).decode(),
        "offered": Scope.of(known).parameters()["offered"],
        "first_at": min((span["since"] for span in spans), default=now),
        "last_at": now,
        "newest": _hour_of(now),
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT, parameters)


def _with_newest(phases: Sequence[Phase]) -> list[Phase]:
    newest = TelemetryHour.objects.filter(phase=OuterRef("pk")).order_by("-hour_at").values("hour_at")[:1]
    rows = Phase.objects.filter(pk__in=[phase.pk for phase in phases])
    return list(rows.annotate(counted_to=Subquery(newest)))


def _span_rows(phase: Any, now: datetime, recounted: timedelta) -> list[dict[str, Any]]:
    counted_to = phase.counted_to
    since = max(phase.opened_at, now - HISTORY) if counted_to is None else counted_to - recounted
    return [
        {
            "phase_id": phase.pk,
            "experiment_id": phase.experiment_id,
            "month": retention_month(phase.opened_at),
            "since": max(_hour_of(since), span.start_at),
            "until": min(span.end_at or now, now),
            "currency": phase.currency,
        }
        for span in served_spans(phase)
        if (span.end_at or now) > since and span.start_at < now
    ]


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
