# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""Which units, cohort days and hours the facts recorded lately can have moved.

Of cohort days that are still open every unit with an order is kept, so news of a unit moves the sums by a difference.
News of a closed day is rare: the day is summed again from its exposures, and the hours its orders lie in are tallied
again.
"""

from __future__ import annotations

from django.db import connection

from catalog_experiments.aggregation.scope import HISTORY, Scope
from catalog_experiments.aggregation.units import COLUMNS
from catalog_experiments.aggregation.workbench import Workbench

MOST_LOOKUPS = 1_500_000
"""Orders times phases above which it is cheaper to count the phases whole than to look for what is news."""

NEWS = """
SELECT unit, placed_at, revised_at FROM catalog_checkout_orders WHERE revised_at >= %(since)s AND unit IS NOT NULL"""

COUNT_NEWS = """
SELECT count(*) FROM (SELECT 1 FROM catalog_checkout_orders WHERE revised_at >= %(since)s LIMIT %(most)s) AS news"""

# Units with new orders are sought phase by phase, sorted and in one pass over the phase's part of the key: a thirtieth
# of what it costs to look up each unit in each phase. An exposure that an earlier report moved was counted on a later
# day before, or on one in between.
AFFECTED = f"""
WITH buyers AS MATERIALIZED (
    SELECT phase.phase_id, phase.since, phase.attribution, phase.open_from, exposure.unit, exposure.exposed_at
    FROM phases phase
    CROSS JOIN LATERAL (
        SELECT unit, exposed_at FROM catalog_bundle_exposures kept
        WHERE kept.retention_month = phase.month AND kept.experiment_id = phase.experiment_id
            AND kept.phase_id = phase.phase_id AND kept.unit = ANY(ARRAY(SELECT DISTINCT unit FROM news ORDER BY unit))
        OFFSET 0
    ) AS exposure
)
SELECT phase.phase_id, exposure.unit, exposure.exposed_at, COALESCE(exposure.moved_from_at, exposure.exposed_at)
           AS latest_at, phase.attribution, phase.open_from, true AS is_exposure_news
FROM phases phase
JOIN catalog_bundle_exposures exposure ON exposure.phase_id = phase.phase_id AND exposure.recorded_at >= phase.since
    AND exposure.retention_month = ANY(%(months)s) AND exposure.phase_id = ANY(%(ids)s)
    AND exposure.recorded_at >= %(since)s
UNION ALL
SELECT DISTINCT buyer.phase_id, buyer.unit, buyer.exposed_at, buyer.exposed_at, buyer.attribution, buyer.open_from,
       false
FROM buyers buyer
JOIN news ON news.unit = buyer.unit
WHERE news.revised_at >= buyer.since AND news.placed_at >= buyer.exposed_at - {HISTORY}
    AND news.placed_at < buyer.exposed_at + buyer.attribution"""

DAY = "(exposed_at AT TIME ZONE 'UTC')::date"
RECOUNTED = f"""
SELECT DISTINCT phase_id, day::date AS cohort_date
FROM affected
CROSS JOIN LATERAL generate_series({DAY}, (latest_at AT TIME ZONE 'UTC')::date, interval '1 day') AS day
WHERE is_exposure_news OR {DAY} < open_from"""

CLOSED = """
SELECT recounted.phase_id, recounted.cohort_date
FROM recounted JOIN phases phase USING (phase_id) WHERE recounted.cohort_date < phase.open_from"""

HOURS = f"""
SELECT DISTINCT affected.phase_id, date_trunc('hour', placed.placed_at, 'UTC') AS outcome_hour_at
FROM affected
CROSS JOIN LATERAL (
    SELECT placed_at FROM catalog_checkout_orders kept
    WHERE kept.unit = affected.unit AND kept.placed_at >= affected.exposed_at
        AND kept.placed_at < affected.latest_at + affected.attribution OFFSET 0
) AS placed
WHERE {DAY} < open_from"""

CHOSEN = """
SELECT phase_id, unit FROM affected
UNION
SELECT hours.phase_id, placed.unit
FROM hours
CROSS JOIN LATERAL (
    SELECT id, unit FROM catalog_checkout_orders WHERE unit IS NOT NULL AND placed_at >= hours.outcome_hour_at
        AND placed_at < hours.outcome_hour_at + interval '1 hour' OFFSET 0
) AS placed
WHERE EXISTS (
    SELECT 1 FROM catalog_bundle_order_outcomes outcome JOIN offered offer ON offer.bundle_id = outcome.bundle_id
    WHERE outcome.order_id = placed.id AND offer.phase_id = hours.phase_id)"""

FORMER = f"""
SELECT {", ".join(f"kept.{name}" for name in COLUMNS)}
FROM catalog_bundle_experiment_open_units kept
JOIN (SELECT DISTINCT phase_id, unit FROM affected) AS own USING (phase_id, unit)"""


def is_too_much(scope: Scope) -> bool:
    """Say whether so much was recorded lately that it is cheaper to count the phases whole."""
    most = MOST_LOOKUPS // max(1, len(scope.phases))
    with connection.cursor() as cursor:
        cursor.execute(COUNT_NEWS, scope.parameters() | {"most": most})
        return bool(cursor.fetchone()[0] >= most)


def find_news(bench: Workbench) -> bool:
    """Leave `affected`, `recounted`, `closed`, `hours`, `chosen` and `former`; say whether there is any news."""
    bench.lay_out("news", NEWS)
    if not bench.lay_out("affected", AFFECTED):
        return False
    bench.lay_out("recounted", RECOUNTED)
    bench.lay_out("closed", CLOSED)
    bench.lay_out("hours", HOURS)
    bench.lay_out("chosen", CHOSEN)
    bench.lay_out("former", FORMER)
    return True
