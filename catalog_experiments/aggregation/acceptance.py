# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""How often orders took a bundle over a sliding look-back, whether or not an experiment runs on it.

Orders are counted by the hour once, and again in the hours that changed orders lie in; the look-back adds up hours, and
reads orders for the two pieces of hours at its ends alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from catalog_experiments.aggregation import cursors
from catalog_experiments.aggregation.cursors import Watermark
from catalog_experiments.aggregation.scope import ELIGIBLE
from catalog_experiments.hours import hour_of
from catalog_experiments.models import AggregationCursor, ErasedCohort

HOURS = "catalog_bundle_acceptance_hours"
LOCK = (7_311_010, 0)
HOUR = timedelta(hours=1)

COUNTS = f"placed.status IN {ELIGIBLE} AND placed.excluded_as IS NULL"
# Orders that do not count leave a row of zeros, whether or not they counted at an earlier run.
COUNTED = f"""
SELECT date_trunc('hour', placed.placed_at, 'UTC') AS hour_at, outcome.bundle_id,
       count(*) FILTER (WHERE {COUNTS}) AS sample_size,
       count(*) FILTER (WHERE {COUNTS} AND outcome.accepted) AS acceptance_count,
       max(placed.placed_at) FILTER (WHERE {COUNTS} AND outcome.accepted) AS last_accepted_at
FROM {{orders}}
{{said}}
GROUP BY 1, 2"""

SAID_ALL = "JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = placed.id"
# `OFFSET 0` keeps each look-up behind its order: the planner does not know how few orders lie in the hours.
SAID_ONE_BY_ONE = """CROSS JOIN LATERAL (
    SELECT bundle_id, accepted FROM catalog_bundle_order_outcomes WHERE order_id = placed.id OFFSET 0
) AS outcome"""

# What orders of erased units had added, by the hour. A bundle that is gone since then is told of no more.
ERASED_HOURS = """
SELECT own.hour_at, own.bundle_id, own.sample_size, own.acceptance_count, own.last_accepted_at
FROM catalog_erased_cohorts erased
CROSS JOIN LATERAL jsonb_to_recordset(erased.sums -> 'hours') AS own(
    hour_at timestamptz, bundle_id uuid, sample_size bigint, acceptance_count bigint, last_accepted_at timestamptz)
JOIN catalog_bundles bundle ON bundle.id = own.bundle_id
WHERE erased.phase_id IS NULL"""
WITH_ERASED = f"""
SELECT hour_at, bundle_id, sum(sample_size) AS sample_size, sum(acceptance_count) AS acceptance_count,
       max(last_accepted_at) AS last_accepted_at
FROM ({{counted}} UNION ALL {ERASED_HOURS} {{which}}) AS together
GROUP BY 1, 2"""

CHANGED_HOURS = """
SELECT DISTINCT date_trunc('hour', placed_at, 'UTC') AS hour_at
FROM catalog_checkout_orders WHERE revised_at >= %(since)s"""
ORDERS_OF_CHANGED_HOURS = f"""({CHANGED_HOURS}) AS changed
CROSS JOIN LATERAL (
    SELECT * FROM catalog_checkout_orders kept
    WHERE kept.placed_at >= changed.hour_at AND kept.placed_at < changed.hour_at + interval '1 hour' OFFSET 0
) AS placed"""

COUNT = f"""
WITH counted AS MATERIALIZED ({{counted}}),
emptied AS (
    DELETE FROM {HOURS} kept USING {{hours}} AS own
    WHERE kept.hour_at = own.hour_at AND NOT EXISTS (
        SELECT 1 FROM counted WHERE counted.hour_at = kept.hour_at AND counted.bundle_id = kept.bundle_id)
    RETURNING 1
),
stored AS (
    INSERT INTO {HOURS} AS kept (hour_at, bundle_id, sample_size, acceptance_count, last_accepted_at)
    SELECT * FROM counted
    ON CONFLICT (hour_at, bundle_id) DO UPDATE SET
        sample_size = excluded.sample_size, acceptance_count = excluded.acceptance_count,
        last_accepted_at = excluded.last_accepted_at
    WHERE (kept.sample_size, kept.acceptance_count, kept.last_accepted_at)
        IS DISTINCT FROM (excluded.sample_size, excluded.acceptance_count, excluded.last_accepted_at)
    RETURNING 1
)
SELECT (SELECT count(*) FROM emptied) + (SELECT count(*) FROM stored)"""
COUNTED_ALL = COUNTED.format(orders="catalog_checkout_orders placed", said=SAID_ALL)
COUNTED_CHANGED = COUNTED.format(orders=ORDERS_OF_CHANGED_HOURS, said=SAID_ONE_BY_ONE)
ALL_HOURS = f"(SELECT DISTINCT hour_at FROM {HOURS})"
COUNT_ALL = COUNT.format(counted=COUNTED_ALL, hours=ALL_HOURS)
COUNT_CHANGED = COUNT.format(counted=COUNTED_CHANGED, hours=f"({CHANGED_HOURS})")
COUNT_ALL_WITH_ERASED = COUNT.format(counted=WITH_ERASED.format(counted=COUNTED_ALL, which=""), hours=ALL_HOURS)
COUNT_CHANGED_WITH_ERASED = COUNT.format(
    counted=WITH_ERASED.format(counted=COUNTED_CHANGED, which=f"AND own.hour_at IN ({CHANGED_HOURS})"),
    hours=f"({CHANGED_HOURS})",
)

EDGE = """
SELECT * FROM catalog_checkout_orders WHERE placed_at >= %(since)s AND placed_at < %(whole_from)s
UNION ALL
SELECT * FROM catalog_checkout_orders WHERE placed_at >= %(whole_to)s AND placed_at <= %(now)s"""

# Of the hour that is not over, erased units' orders are added whole; of that at the far end they are left out.
# Rows seeded for QA say so and are left alone. Bundles whose orders have all aged out are zeroed, not forgotten.
UPDATE = f"""
WITH pieces AS (
    SELECT bundle_id, sample_size, acceptance_count, last_accepted_at
    FROM {HOURS} WHERE hour_at >= %(whole_from)s AND hour_at < %(whole_to)s
    UNION ALL
    SELECT bundle_id, sample_size, acceptance_count, last_accepted_at FROM (
        {COUNTED.format(orders=f"({EDGE}) AS placed", said=SAID_ONE_BY_ONE)}
    ) AS edges
    UNION ALL
    SELECT bundle_id, sample_size, acceptance_count, last_accepted_at FROM ({ERASED_HOURS}) AS erased
    WHERE hour_at >= %(whole_to)s AND hour_at <= %(now)s
),
counted AS (
    SELECT bundle_id, sum(sample_size) AS sample_size, sum(acceptance_count) AS acceptance_count,
           max(last_accepted_at) AS last_accepted_at
    FROM pieces GROUP BY bundle_id
)
INSERT INTO catalog_bundle_acceptance_metrics AS kept (
    id, bundle_id, lookback_days, acceptance_rate, acceptance_count, sample_size, last_accepted_at,
    computed_at, metadata)
SELECT gen_random_uuid(), bundle.id, %(lookback_days)s,
       COALESCE(round(counted.acceptance_count::numeric / NULLIF(counted.sample_size, 0), 4), 0),
       COALESCE(counted.acceptance_count, 0), COALESCE(counted.sample_size, 0), counted.last_accepted_at,
       %(now)s, '{{}}'
FROM catalog_bundles bundle
LEFT JOIN counted ON counted.bundle_id = bundle.id
LEFT JOIN catalog_bundle_acceptance_metrics known
    ON known.bundle_id = bundle.id AND known.lookback_days = %(lookback_days)s
WHERE (counted.bundle_id IS NOT NULL OR known.id IS NOT NULL)
    AND NOT COALESCE(known.metadata ? 'seeded', false) AND NOT bundle.metadata ? 'seeded'
ORDER BY bundle.id
ON CONFLICT (bundle_id, lookback_days) DO UPDATE SET
    acceptance_rate = excluded.acceptance_rate, acceptance_count = excluded.acceptance_count,
    sample_size = excluded.sample_size, last_accepted_at = excluded.last_accepted_at,
    computed_at = excluded.computed_at
"""


def update_acceptance(watermark: Watermark, *, lookback_days: int, now: datetime) -> int:
    """Bring the acceptance row of every bundle with orders, or with a row, up to now; return how many there are.

    Counts paid and confirmed orders placed in the last `lookback_days` days that hold the bundle's primary product.
    Call it inside a transaction.
    """
    count_hours(watermark)
    since = now - timedelta(days=lookback_days)
    with connection.cursor() as cursor:
        cursor.execute(
            UPDATE,
            {
                "since": since,
                "whole_from": hour_of(since + HOUR - timedelta.resolution),
                "whole_to": hour_of(now),
                "now": now,
                "lookback_days": lookback_days,
            },
        )
        return int(cursor.rowcount)


def count_hours(watermark: Watermark, *, is_anew: bool = False) -> int:
    """Bring the hours up to the watermark, or all of them anew; return how many rows were not right before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        known = AggregationCursor.objects.filter(phase=None).first()
        has_erased = ErasedCohort.objects.filter(phase=None).exists()
        if known is None or known.recorded_to is None or is_anew:
            cursor.execute(COUNT_ALL_WITH_ERASED if has_erased else COUNT_ALL)
        else:
            count = COUNT_CHANGED_WITH_ERASED if has_erased else COUNT_CHANGED
            cursor.execute(count, {"since": known.recorded_to - cursors.OVERLAP})
        written = int(cursor.fetchone()[0])
    cursor_row = known or AggregationCursor(phase=None)
    cursor_row.recorded_to = watermark.recorded_to
    cursor_row.save()
    return written


def recount_hours(watermark: Watermark) -> int:
    """Bring the hours up to the watermark, then count them all anew; return how many rows were wrong until then."""
    count_hours(watermark)
    return count_hours(watermark, is_anew=True)
