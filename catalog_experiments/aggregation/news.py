# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""Which units, cohort days and hours the facts recorded lately can have moved.

Of cohort days that are still open every unit with an order is kept, so news of a unit moves the sums by a difference.
News of a closed day is rare: the day is summed again from its exposures, and the hours its orders lie in are tallied
again.
"""

from __future__ import annotations

from django.db import connection

from catalog_experiments.aggregation.persons import IDS, TOLD_LATELY, are_there, lay_out_members
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

# Of people with news of any id, and of people told of since: `related` are ids of theirs that met a phase.
TOLD_OF = "(SELECT unit FROM news UNION SELECT unit FROM affected)"

# Orders under a person's other ids may have become a unit's, or have ceased to be: where such an order is news itself,
# or where the person's exposures or aliases are. A unit without such an order is left alone.
RELATE = f"""
INSERT INTO affected
WITH met AS MATERIALIZED (
    SELECT phase.phase_id, phase.since, phase.attribution, phase.open_from, person.customer, person.told_at,
           exposure.unit, exposure.exposed_at, exposure.latest_at
    FROM phases phase
    CROSS JOIN LATERAL (
        SELECT unit, exposed_at, COALESCE(moved_from_at, exposed_at) AS latest_at FROM catalog_bundle_exposures kept
        WHERE kept.retention_month = phase.month AND kept.experiment_id = phase.experiment_id
            AND kept.phase_id = phase.phase_id AND kept.unit = ANY({IDS.format(members="members")})
        OFFSET 0
    ) AS exposure
    JOIN members person ON person.unit = exposure.unit
), moved AS (
    SELECT phase_id, customer FROM met WHERE told_at >= since
    UNION
    SELECT affected.phase_id, person.customer FROM affected JOIN members person USING (unit) WHERE is_exposure_news
)
SELECT DISTINCT met.phase_id, met.unit, met.exposed_at, met.latest_at, met.attribution, met.open_from, false
FROM met
JOIN members other ON other.customer = met.customer AND other.unit <> met.unit
CROSS JOIN LATERAL (
    SELECT revised_at FROM catalog_checkout_orders kept
    WHERE kept.unit = other.unit AND kept.placed_at >= met.exposed_at - {HISTORY}
        AND kept.placed_at < met.latest_at + met.attribution OFFSET 0
) AS placed
LEFT JOIN moved ON moved.phase_id = met.phase_id AND moved.customer = met.customer
WHERE placed.revised_at >= met.since OR moved.phase_id IS NOT NULL"""

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
FROM {{affected}} AS affected
CROSS JOIN LATERAL (
    SELECT placed_at FROM catalog_checkout_orders kept
    WHERE kept.unit = affected.unit AND kept.placed_at >= affected.exposed_at
        AND kept.placed_at < affected.latest_at + affected.attribution OFFSET 0
) AS placed
WHERE {DAY} < open_from"""

AFFECTED_WITH_OTHERS = """(
    SELECT phase_id, unit, exposed_at, latest_at, attribution, open_from FROM affected
    UNION ALL
    SELECT affected.phase_id, other.unit, affected.exposed_at, affected.latest_at, affected.attribution,
           affected.open_from
    FROM affected
    JOIN members person ON person.unit = affected.unit
    JOIN members other ON other.customer = person.customer AND other.unit <> person.unit
)"""

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

# Whoever bought in those hours did so for the unit that stays of the person.
CHOOSE_OTHERS = """
INSERT INTO chosen
SELECT chosen.phase_id, other.unit
FROM chosen
JOIN buyers person ON person.unit = chosen.unit
JOIN buyers other ON other.customer = person.customer
EXCEPT SELECT phase_id, unit FROM chosen"""

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
    count = bench.lay_out("affected", AFFECTED)
    has_members = are_there(bench) and bool(lay_out_members(bench, "members", of=TOLD_OF, others=TOLD_LATELY))
    if has_members:
        count += bench.run(RELATE)
    if not count:
        return False
    bench.lay_out("recounted", RECOUNTED)
    bench.lay_out("closed", CLOSED)
    hours = bench.lay_out("hours", HOURS.format(affected=AFFECTED_WITH_OTHERS if has_members else "affected"))
    bench.lay_out("chosen", CHOSEN)
    if hours and are_there(bench) and lay_out_members(bench, "buyers", of="chosen"):
        bench.run(CHOOSE_OTHERS)
    bench.lay_out("former", FORMER)
    return True
