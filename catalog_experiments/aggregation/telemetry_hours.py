# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""What came in by the hour: exposures of each phase, and whether orders of its product still find their visitor.

What silence and a falling join rate are seen from. Only the newest hours are counted again, so that a tick reads
minutes of facts, whatever the history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import OuterRef, Subquery

from catalog_experiments.aggregation.cursors import OVERLAP
from catalog_experiments.aggregation.scope import MANY_PHASES, Scope, unguessed
from catalog_experiments.aggregation.workbench import AS_BEFORE, FOR_BULK
from catalog_experiments.hours import hour_of
from catalog_experiments.intake import retention_month, served_spans
from catalog_experiments.models import Phase, TelemetryHour

HISTORY = timedelta(days=28)
"""How far back a phase that was never counted is counted."""

RECOUNTED = timedelta(hours=2)
"""Hours behind the newest that a tick counts again, for events that come late."""

RECOUNTED_BY_RUNS = timedelta(hours=26)
"""Hours behind the newest that a run over everything counts again, as far as events that came since reach back."""

AFTER_CLOSING = timedelta(days=1)

WANTED = """
SELECT * FROM jsonb_to_recordset(%(wanted)s::jsonb) AS span(
    phase_id uuid, experiment_id uuid, month date, since timestamptz, until timestamptz, currency text)"""

# `OFFSET 0`: else the earliest would be sought from the first fact on.
LATE = """
SELECT min(at) FROM (
    SELECT exposed_at AS at FROM catalog_bundle_exposures
    WHERE retention_month = ANY(%(months)s) AND recorded_at >= %(since)s
    UNION ALL
    SELECT placed_at FROM catalog_checkout_orders WHERE revised_at >= %(since)s
    OFFSET 0
) AS late"""

EXPOSURES_OF_HOURS = """
SELECT wanted.phase_id, date_bin('1 hour', exposure.exposed_at, 'epoch') AS hour_at
FROM wanted
CROSS JOIN LATERAL (
    SELECT exposed_at FROM catalog_bundle_exposures
    WHERE retention_month = wanted.month AND phase_id = wanted.phase_id AND excluded_as IS NULL
        AND exposed_at >= wanted.since AND exposed_at < wanted.until OFFSET 0
) exposure"""

# From one end to the other. A WITH of its own keeps this apart from what groups it, which then expects few hours.
IS_WANTED = unguessed("exposure.exposed_at >= wanted.since AND exposure.exposed_at < wanted.until")
EXPOSURES_OF_WEEKS = f"""
WITH wanted AS ({WANTED})
SELECT wanted.phase_id, date_bin('1 hour', exposure.exposed_at, 'epoch') AS hour_at
FROM wanted
JOIN catalog_bundle_exposures exposure ON exposure.phase_id = wanted.phase_id
    AND exposure.retention_month = ANY(%(months)s) AND exposure.excluded_as IS NULL AND {IS_WANTED}"""

IS_RECENT = unguessed("recent.placed_at >= wanted.since AND recent.placed_at < wanted.until")

# The newest hour of each phase is stored even when nothing came in: it says how far the phase was counted.
CELLS = f"""
WITH wanted AS MATERIALIZED ({WANTED}),
offered AS MATERIALIZED (
    SELECT DISTINCT phase_id, bundle_id
    FROM jsonb_to_recordset(%(offered)s::jsonb) AS offer(phase_id uuid, bundle_id uuid)
    WHERE bundle_id IS NOT NULL
),
met AS (
    SELECT phase_id, hour_at, count(*) AS exposed FROM ({{exposures}}) AS exposure GROUP BY 1, 2
),
recent AS MATERIALIZED (
    SELECT id, unit, placed_at, currency FROM catalog_checkout_orders
    WHERE placed_at >= %(first_at)s AND placed_at < %(last_at)s AND excluded_as IS NULL
        AND status <> 'pending'
),
anchored AS (
    SELECT DISTINCT said.id, offered.phase_id FROM ({{said}}) AS said JOIN offered USING (bundle_id)
),
bought AS (
    SELECT wanted.phase_id, date_bin('1 hour', recent.placed_at, 'epoch') AS hour_at, count(*) AS orders,
           count(exposure.unit) AS joined,
           count(exposure.unit) FILTER (WHERE recent.currency <> wanted.currency) AS of_others
    FROM recent
    JOIN anchored USING (id)
    JOIN wanted ON wanted.phase_id = anchored.phase_id AND {IS_RECENT}
    LEFT JOIN {{joined}}
    GROUP BY 1, 2
)
SELECT phase_id, hour_at, COALESCE(exposed, 0) AS exposed, COALESCE(orders, 0) AS orders,
       COALESCE(joined, 0) AS joined, COALESCE(of_others, 0) AS of_others
FROM met FULL JOIN bought USING (phase_id, hour_at)
FULL JOIN (SELECT unnest(%(phases)s) AS phase_id, %(newest)s::timestamptz AS hour_at) AS newest
    USING (phase_id, hour_at)"""

COUNT = """
INSERT INTO catalog_bundle_experiment_telemetry_hours AS kept (
    id, phase_id, hour_at, exposed_count, order_count, joined_count, foreign_count)
SELECT gen_random_uuid(), cells.* FROM {cells} AS cells ORDER BY phase_id, hour_at
ON CONFLICT (phase_id, hour_at) DO UPDATE SET
    exposed_count = excluded.exposed_count, order_count = excluded.order_count,
    joined_count = excluded.joined_count, foreign_count = excluded.foreign_count
WHERE (kept.exposed_count, kept.order_count, kept.joined_count, kept.foreign_count)
    IS DISTINCT FROM (excluded.exposed_count, excluded.order_count, excluded.joined_count, excluded.foreign_count)
"""

# Of a few hours each order leads to its own rows: `OFFSET 0` keeps the look-ups behind the order they are for, and the
# offers, of which there are as many as experiments, out of each look-up.
SAID_ONE_BY_ONE = """SELECT recent.id, outcome.bundle_id FROM recent CROSS JOIN LATERAL (
        SELECT bundle_id FROM catalog_bundle_order_outcomes WHERE order_id = recent.id OFFSET 0
    ) AS outcome OFFSET 0"""
JOINED_ONE_BY_ONE = """LATERAL (
        SELECT unit FROM catalog_bundle_exposures kept
        WHERE kept.retention_month = wanted.month AND kept.experiment_id = wanted.experiment_id
            AND kept.phase_id = wanted.phase_id AND kept.unit = recent.unit OFFSET 0
    ) AS exposure ON true"""
HOURS = CELLS.format(exposures=EXPOSURES_OF_HOURS, said=SAID_ONE_BY_ONE, joined=JOINED_ONE_BY_ONE)
COUNT_HOURS = COUNT.format(cells=f"({HOURS})")

# By way of a table: what is only selected may be worked out by several processes at once.
SAID_ALL = """SELECT recent.id, outcome.bundle_id
        FROM recent JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = recent.id"""
JOINED_ALL = """catalog_bundle_exposures exposure ON exposure.retention_month = ANY(%(months)s)
        AND exposure.phase_id = wanted.phase_id AND exposure.unit = recent.unit"""
WEEKS = CELLS.format(exposures=EXPOSURES_OF_WEEKS, said=SAID_ALL, joined=JOINED_ALL)
LAY_OUT_WEEKS = f"CREATE TEMPORARY TABLE weeks AS {WEEKS}"
COUNT_WEEKS = f"{COUNT.format(cells='weeks')}; DROP TABLE weeks"


def update_telemetry_hours(phases: Iterable[Phase], *, now: datetime, recounted: timedelta = RECOUNTED) -> None:
    """Count the newest hours of the phases, up to `now`; a constant number of statements for any number of them.

    Safe to repeat. Hours in which a phase did not serve hold nothing of it; one that closed a day ago is left alone.
    """
    known = [phase for phase in phases if phase.closed_at is None or phase.closed_at > now - AFTER_CLOSING]
    if not known:
        return
    counted_to = _newest_hours(known)
    late_from = _late_from(known, counted_to) if recounted > RECOUNTED else None
    spans = [row for phase in known for row in _span_rows(phase, counted_to[phase.pk], now, recounted, late_from)]
    parameters = {
        "phases": [phase.pk for phase in known],
        "wanted": orjson.dumps(spans).decode(),
        "offered": Scope.of(known).parameters()["offered"],
        "months": sorted({span["month"] for span in spans}),
        "first_at": min((span["since"] for span in spans), default=now),
        "last_at": now,
        "newest": hour_of(now),
    }
    are_many_new = list(counted_to.values()).count(None) > MANY_PHASES
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (FOR_BULK, LAY_OUT_WEEKS, COUNT_WEEKS, AS_BEFORE) if are_many_new else (COUNT_HOURS,):
            cursor.execute(statement, parameters)


def _newest_hours(phases: Sequence[Phase]) -> dict[UUID, datetime | None]:
    """Return the last hour that was counted of each phase, None for one that is new."""
    newest = TelemetryHour.objects.filter(phase=OuterRef("pk")).order_by("-hour_at").values("hour_at")[:1]
    rows = Phase.objects.filter(pk__in=[phase.pk for phase in phases]).annotate(counted_to=Subquery(newest))
    return dict(rows.values_list("pk", "counted_to"))


def _late_from(phases: Sequence[Phase], counted_to: Mapping[UUID, datetime | None]) -> datetime | None:
    """Return when the earliest event happened of all that may have come since the phases were last counted."""
    known = [hour for hour in counted_to.values() if hour is not None]
    if not known:
        return None
    months = sorted({retention_month(phase.opened_at) for phase in phases})
    with connection.cursor() as cursor:
        cursor.execute(LATE, {"months": months, "since": min(known) - OVERLAP})
        (late_from,) = cursor.fetchone()
    return late_from  # type: ignore[no-any-return]  # a column is anything


def _span_rows(
    phase: Phase, counted_to: datetime | None, now: datetime, recounted: timedelta, late_from: datetime | None
) -> list[dict[str, Any]]:
    if counted_to is None:
        since = max(phase.opened_at, now - HISTORY)
    else:
        newest = counted_to - min(recounted, RECOUNTED)
        since = max(counted_to - recounted, min(newest, late_from or newest))
    return [
        {
            "phase_id": phase.pk,
            "experiment_id": phase.experiment_id,
            "month": retention_month(phase.opened_at),
            "since": max(hour_of(since), span.start_at),
            "until": min(span.end_at or now, now),
            "currency": phase.currency,
        }
        for span in served_spans(phase)
        if (span.end_at or now) > since and span.start_at < now
    ]
