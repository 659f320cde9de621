# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""First eligible orders of exposed units by the hour of the order: what guardrails judge and cards show.

One outcome per unit: the first paid or confirmed order in its window that holds the slot's product; accepted when it
took the bundle of the unit's own variant. Gross counts ignore cancellations.
"""

from __future__ import annotations

from django.db import connection

from catalog_experiments.aggregation import cursors
from catalog_experiments.aggregation.cursors import Watermark
from catalog_experiments.aggregation.scope import (
    ARMS,
    ELIGIBLE,
    ELIGIBLE_BEFORE_CANCELLATIONS,
    EXPOSURES_OF_SPAN,
    EXPOSURES_RECORDED_SINCE,
    SPANS,
    Scope,
)
from catalog_experiments.models import AggregationCursor, Phase

WINDOW_END = "LEAST(exposure.exposed_at + span.attribution, span.served_to)"
HOUR = "date_trunc('hour', {time}, 'UTC')"

# An order that changed matters to a unit only if it comes before the unit's first unchanged eligible order: else that
# one was first before and is first now. If it matters, the outcome may have moved between the hours of both.
CHANGED = f"""
changed AS MATERIALIZED (
    SELECT DISTINCT span.phase_id, span.since, exposure.unit, exposure.exposed_at, {WINDOW_END} AS window_end,
           placed.placed_at, placed.order_ref
    FROM catalog_checkout_orders placed
    JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = placed.id
    JOIN arms arm ON arm.bundle_id = outcome.bundle_id
    JOIN spans span ON span.phase_id = arm.phase_id AND placed.revised_at >= span.since
        AND placed.placed_at >= span.served_from AND placed.placed_at < span.served_to
    JOIN {EXPOSURES_OF_SPAN}
        AND exposure.unit = placed.unit
    WHERE placed.revised_at >= %(since)s AND placed.placed_at >= exposure.exposed_at AND placed.placed_at < {WINDOW_END}
),
moved AS (
    SELECT changed.phase_id, other.placed_at
    FROM changed
    LEFT JOIN LATERAL (
        SELECT kept.placed_at, kept.order_ref
        FROM catalog_checkout_orders kept
        WHERE kept.unit = changed.unit AND kept.revised_at < changed.since AND kept.status IN {ELIGIBLE}
            AND kept.placed_at >= changed.exposed_at AND kept.placed_at < changed.window_end
            AND EXISTS (
                SELECT 1 FROM catalog_bundle_order_outcomes outcome JOIN arms arm ON arm.bundle_id = outcome.bundle_id
                WHERE outcome.order_id = kept.id AND arm.phase_id = changed.phase_id)
        ORDER BY kept.placed_at, kept.order_ref COLLATE "C" LIMIT 1
    ) steady ON true
    JOIN catalog_checkout_orders other ON other.unit = changed.unit AND other.placed_at >= changed.placed_at
        AND other.placed_at <= COALESCE(steady.placed_at, changed.window_end)
    WHERE steady.placed_at IS NULL
       OR (changed.placed_at, changed.order_ref COLLATE "C") < (steady.placed_at, steady.order_ref COLLATE "C")
)"""

# An exposure that is new, earlier or no longer counted may move any outcome of its unit from then on.
AFFECTED = f"""
ends AS (SELECT phase_id, max(served_to) AS served_to FROM spans GROUP BY phase_id),
met AS (
    SELECT DISTINCT span.phase_id, exposure.unit, exposure.exposed_at
    FROM spans span
    JOIN {EXPOSURES_RECORDED_SINCE}
),
affected AS MATERIALIZED (
    SELECT phase_id, {HOUR.format(time="placed_at")} AS hour_at FROM moved
    UNION
    SELECT met.phase_id, {HOUR.format(time="placed.placed_at")}
    FROM met
    JOIN ends USING (phase_id)
    JOIN catalog_checkout_orders placed ON placed.unit = met.unit
        AND placed.placed_at >= met.exposed_at AND placed.placed_at < ends.served_to
),
wanted AS MATERIALIZED (
    SELECT DISTINCT affected.phase_id, placed.unit
    FROM affected
    JOIN catalog_checkout_orders placed ON placed.unit IS NOT NULL
        AND placed.placed_at >= affected.hour_at AND placed.placed_at < affected.hour_at + interval '1 hour'
    JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = placed.id
    JOIN arms arm ON arm.bundle_id = outcome.bundle_id AND arm.phase_id = affected.phase_id
)"""

ONLY_WANTED = "JOIN wanted ON wanted.phase_id = exposure.phase_id AND wanted.unit = exposure.unit"
ONLY_AFFECTED = "WHERE (phase_id, hour_at) IN (SELECT phase_id, hour_at FROM affected)"


def first_outcomes(only: str = "") -> str:
    """Return the relations that end in `firsts`: each unit's first eligible order, once net and once gross."""
    return f"""
eligible AS MATERIALIZED (
    SELECT exposure.experiment_id, exposure.phase_id, exposure.unit, exposure.variant_key,
           placed.placed_at, placed.order_ref, placed.status <> 'cancelled' AS is_net,
           bool_or(outcome.accepted AND arm.variant_key = exposure.variant_key) AS accepted
    FROM spans span
    JOIN {EXPOSURES_OF_SPAN}
    {only}
    JOIN catalog_checkout_orders placed ON placed.unit = exposure.unit
        AND placed.placed_at >= exposure.exposed_at AND placed.placed_at < {WINDOW_END}
        AND placed.status IN {ELIGIBLE_BEFORE_CANCELLATIONS}
    JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = placed.id
    JOIN arms arm ON arm.phase_id = exposure.phase_id AND arm.bundle_id = outcome.bundle_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7
),
firsts AS (
    (SELECT DISTINCT ON (phase_id, unit) *, 1 AS net, 0 AS gross FROM eligible WHERE is_net
     ORDER BY phase_id, unit, placed_at, order_ref COLLATE "C")
    UNION ALL
    (SELECT DISTINCT ON (phase_id, unit) *, 0, 1 FROM eligible
     ORDER BY phase_id, unit, placed_at, order_ref COLLATE "C")
)"""


def _cells(only: str = "") -> str:
    return f"""
cells AS MATERIALIZED (
    SELECT * FROM (
        SELECT experiment_id, phase_id, variant_key, {HOUR.format(time="placed_at")} AS hour_at,
               sum(net) AS n, sum(net * accepted::int) AS accepted,
               sum(gross) AS gross_n, sum(gross * accepted::int) AS gross_accepted
        FROM firsts GROUP BY 1, 2, 3, 4
    ) AS hourly {only}
)"""


def _store(emptied: str) -> str:
    return f"""
stored AS (
    INSERT INTO catalog_bundle_experiment_guardrail_tallies AS kept (
        id, experiment_id, phase_id, variant_key, outcome_hour_at, n, accepted, gross_n, gross_accepted)
    SELECT gen_random_uuid(), cells.* FROM cells
    ON CONFLICT (experiment_id, phase_id, variant_key, outcome_hour_at) DO UPDATE SET
        n = excluded.n, accepted = excluded.accepted,
        gross_n = excluded.gross_n, gross_accepted = excluded.gross_accepted
    WHERE (kept.n, kept.accepted, kept.gross_n, kept.gross_accepted)
        IS DISTINCT FROM (excluded.n, excluded.accepted, excluded.gross_n, excluded.gross_accepted)
),
emptied AS (
    DELETE FROM catalog_bundle_experiment_guardrail_tallies kept
    WHERE {emptied} AND NOT EXISTS (
        SELECT 1 FROM cells WHERE cells.phase_id = kept.phase_id
            AND cells.variant_key = kept.variant_key AND cells.hour_at = kept.outcome_hour_at)
)
SELECT count(*) FROM cells"""


COUNT_WHOLE = f"WITH {SPANS},{ARMS},{first_outcomes()},{_cells()},{_store('kept.phase_id = ANY(%(phases)s)')}"
COUNT_AFFECTED = (
    f"WITH {SPANS},{ARMS},{CHANGED},{AFFECTED},{first_outcomes(ONLY_WANTED)},{_cells(ONLY_AFFECTED)},"
    + _store("(kept.phase_id, kept.outcome_hour_at) IN (SELECT phase_id, hour_at FROM affected)")
)


def update_tallies(phases: list[Phase], watermark: Watermark) -> int:
    """Bring the tallies of the phases up to the watermark and return how many were counted.

    Call it inside a transaction. Only hours that changed facts can have moved are counted again, each exactly.
    """
    scope = cursors.claim(phases, AggregationCursor.Product.TALLIES)
    whole, known = scope.split()
    counted = _run(COUNT_WHOLE, whole) + _run(COUNT_AFFECTED, known)
    cursors.advance(scope, AggregationCursor.Product.TALLIES, watermark)
    return counted


def _run(statement: str, scope: Scope) -> int:
    if not scope.phases:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(statement, scope.parameters())
        return int(cursor.fetchone()[0])
