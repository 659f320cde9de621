# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""First eligible orders of exposed units by the hour of the order: what guardrails judge and cards show.

One outcome per unit: the first paid or confirmed order in its window that holds the slot's product; accepted when it
took the bundle of the unit's own variant. Gross counts ignore cancellations.
"""

from __future__ import annotations

import orjson

from catalog_experiments.aggregation import cursors
from catalog_experiments.aggregation.cursors import Watermark
from catalog_experiments.aggregation.scope import (
    ELIGIBLE,
    ELIGIBLE_BEFORE_CANCELLATIONS,
    EXPOSURE_OF_UNIT,
    EXPOSURES_OF_SPAN,
    EXPOSURES_RECORDED_SINCE,
    NEWS,
    OFFERED,
    SPANS,
    Scope,
    fetch,
    without_nested_loops,
)
from catalog_experiments.models import AggregationCursor, Phase

WINDOW_END = "LEAST(exposure.exposed_at + span.attribution, span.served_to)"
HOUR = "date_trunc('hour', {time}, 'UTC')"

# An order that changed matters to a unit only if it comes before the unit's first unchanged eligible order: else that
# one was first before and is first now. If it matters, the outcome may have moved between the hours of both.
CHANGED = f"""
changed AS MATERIALIZED (
    SELECT span.phase_id, span.since, news.unit, exposure.exposed_at, {WINDOW_END} AS window_end,
           news.placed_at, news.order_ref
    FROM news
    CROSS JOIN LATERAL (
        SELECT DISTINCT offer.phase_id
        FROM catalog_bundle_order_outcomes outcome JOIN offered offer ON offer.bundle_id = outcome.bundle_id
        WHERE outcome.order_id = news.id
    ) anchored
    JOIN spans span ON span.phase_id = anchored.phase_id AND news.revised_at >= span.since
        AND news.placed_at >= span.served_from AND news.placed_at < span.served_to
    CROSS JOIN {EXPOSURE_OF_UNIT.format(unit="news.unit")}
    WHERE news.placed_at >= exposure.exposed_at AND news.placed_at < {WINDOW_END}
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
                SELECT 1 FROM catalog_bundle_order_outcomes outcome
                JOIN offered offer ON offer.bundle_id = outcome.bundle_id
                WHERE outcome.order_id = kept.id AND offer.phase_id = changed.phase_id)
        ORDER BY kept.placed_at, kept.order_ref COLLATE "C" LIMIT 1
    ) steady ON true
    CROSS JOIN LATERAL (
        SELECT placed_at FROM catalog_checkout_orders
        WHERE unit = changed.unit AND placed_at >= changed.placed_at
            AND placed_at <= COALESCE(steady.placed_at, changed.window_end) OFFSET 0
    ) other
    WHERE steady.placed_at IS NULL
       OR (changed.placed_at, changed.order_ref COLLATE "C") < (steady.placed_at, steady.order_ref COLLATE "C")
)"""

# An exposure that is new, earlier or no longer counted may move any outcome of its unit from then on.
FIND_AFFECTED = f"""
WITH {SPANS},{OFFERED},{NEWS},{CHANGED},
ends AS (SELECT phase_id, max(served_to) AS served_to FROM spans GROUP BY phase_id),
met AS MATERIALIZED (
    SELECT DISTINCT span.phase_id, exposure.unit, exposure.exposed_at
    FROM spans span
    JOIN {EXPOSURES_RECORDED_SINCE}
)
SELECT phase_id, {HOUR.format(time="placed_at")} FROM moved
UNION
SELECT met.phase_id, {HOUR.format(time="placed.placed_at")}
FROM met
JOIN ends USING (phase_id)
CROSS JOIN LATERAL (
    SELECT placed_at FROM catalog_checkout_orders
    WHERE unit = met.unit AND placed_at >= met.exposed_at AND placed_at < ends.served_to OFFSET 0
) placed
"""

OUTCOME_COLUMNS = """
    exposure.experiment_id, exposure.phase_id, exposure.unit, exposure.variant_key, placed.placed_at, placed.order_ref,
    placed.status <> 'cancelled' AS is_net,
    bool_or(outcome.accepted AND offer.variant_key = exposure.variant_key) AS accepted"""
ORDERS_OF_EXPOSURE = f"""catalog_checkout_orders placed
    ON placed.unit = exposure.unit AND placed.placed_at >= exposure.exposed_at AND placed.placed_at < {WINDOW_END}
    AND placed.status IN {ELIGIBLE_BEFORE_CANCELLATIONS}"""

ALL_ELIGIBLE = f"""
eligible AS MATERIALIZED (
    SELECT {OUTCOME_COLUMNS}
    FROM spans span
    JOIN {EXPOSURES_OF_SPAN}
    JOIN {ORDERS_OF_EXPOSURE} AND placed.placed_at >= %(first_at)s::timestamptz
    JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = placed.id
    JOIN offered offer ON offer.phase_id = exposure.phase_id AND offer.bundle_id = outcome.bundle_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7
)"""

# Unit by unit from the orders of the affected hours: `OFFSET 0` keeps each look-up behind the unit it is for.
AFFECTED_ELIGIBLE = f"""
affected AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(affected)s::jsonb) AS hour(phase_id uuid, hour_at timestamptz)
),
wanted AS MATERIALIZED (
    SELECT DISTINCT affected.phase_id, placed.unit
    FROM affected
    CROSS JOIN LATERAL (
        SELECT id, unit FROM catalog_checkout_orders
        WHERE unit IS NOT NULL AND placed_at >= affected.hour_at
            AND placed_at < affected.hour_at + interval '1 hour' OFFSET 0
    ) placed
    CROSS JOIN LATERAL (
        SELECT 1 FROM catalog_bundle_order_outcomes outcome
        JOIN offered offer ON offer.bundle_id = outcome.bundle_id AND offer.phase_id = affected.phase_id
        WHERE outcome.order_id = placed.id LIMIT 1
    ) anchored
),
eligible AS MATERIALIZED (
    SELECT own.*
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT {OUTCOME_COLUMNS}
        FROM spans span
        CROSS JOIN {EXPOSURE_OF_UNIT.format(unit="wanted.unit")}
        JOIN {ORDERS_OF_EXPOSURE}
        JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = placed.id
        JOIN offered offer ON offer.phase_id = exposure.phase_id AND offer.bundle_id = outcome.bundle_id
        WHERE span.phase_id = wanted.phase_id
        GROUP BY 1, 2, 3, 4, 5, 6, 7 OFFSET 0
    ) own
)"""

FIRSTS = """
firsts AS (
    (SELECT DISTINCT ON (phase_id, unit) *, 1 AS net, 0 AS gross FROM eligible WHERE is_net
     ORDER BY phase_id, unit, placed_at, order_ref COLLATE "C")
    UNION ALL
    (SELECT DISTINCT ON (phase_id, unit) *, 0, 1 FROM eligible
     ORDER BY phase_id, unit, placed_at, order_ref COLLATE "C")
)"""

FIRST_OUTCOMES = f"{SPANS},{OFFERED},{ALL_ELIGIBLE},{FIRSTS}"
"""The relations that end in `firsts`: each unit's first eligible order, once net and once gross."""

CELLS = f"""
cells AS MATERIALIZED (
    SELECT * FROM (
        SELECT experiment_id, phase_id, variant_key, {HOUR.format(time="placed_at")} AS hour_at,
               sum(net) AS n, sum(net * accepted::int) AS accepted,
               sum(gross) AS gross_n, sum(gross * accepted::int) AS gross_accepted
        FROM firsts GROUP BY 1, 2, 3, 4
    ) AS hourly {{only}}
)"""

STORE = """
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
    WHERE kept.phase_id = ANY(%(phases)s) {only} AND NOT EXISTS (
        SELECT 1 FROM cells WHERE cells.phase_id = kept.phase_id
            AND cells.variant_key = kept.variant_key AND cells.hour_at = kept.outcome_hour_at)
)
SELECT count(*) FROM cells"""

COUNT_WHOLE = f"WITH {FIRST_OUTCOMES},{CELLS.format(only='')},{STORE.format(only='')}"
COUNT_AFFECTED = (
    f"WITH {SPANS},{OFFERED},{AFFECTED_ELIGIBLE},{FIRSTS},"
    + CELLS.format(only="WHERE (phase_id, hour_at) IN (SELECT phase_id, hour_at FROM affected)")
    + ","
    + STORE.format(only="AND (kept.phase_id, kept.outcome_hour_at) IN (SELECT phase_id, hour_at FROM affected)")
)


def update_tallies(phases: list[Phase], watermark: Watermark) -> int:
    """Bring the tallies of the phases up to the watermark and return how many were counted.

    Call it inside a transaction. Only hours that changed facts can have moved are counted again, each exactly.
    """
    scope = cursors.claim(phases, AggregationCursor.Product.TALLIES)
    whole, known = scope.split()
    counted = _count_whole(whole) + _count_affected(known)
    cursors.advance(scope, AggregationCursor.Product.TALLIES, watermark)
    return counted


def _count_whole(scope: Scope) -> int:
    if not scope.phases:
        return 0
    with without_nested_loops():
        return int(fetch(COUNT_WHOLE, scope.parameters())[0][0])


def _count_affected(scope: Scope) -> int:
    if not scope.phases:
        return 0
    parameters = scope.parameters()
    affected = [{"phase_id": phase_id, "hour_at": hour_at} for phase_id, hour_at in fetch(FIND_AFFECTED, parameters)]
    if not affected:
        return 0
    return int(fetch(COUNT_AFFECTED, parameters | {"affected": orjson.dumps(affected).decode()})[0][0])
