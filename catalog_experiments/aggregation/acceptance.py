# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""How often orders took a bundle over a sliding look-back, whether or not an experiment runs on it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from catalog_experiments.aggregation.scope import ELIGIBLE

# Rows seeded for QA say so and are left alone. Bundles whose orders have all aged out are zeroed, not forgotten.
UPDATE = f"""
WITH counted AS (
    SELECT outcome.bundle_id, count(*) AS sample_size, count(*) FILTER (WHERE outcome.accepted) AS acceptance_count,
           max(placed.placed_at) FILTER (WHERE outcome.accepted) AS last_accepted_at
    FROM catalog_checkout_orders placed
    JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = placed.id
    WHERE placed.placed_at >= %(since)s AND placed.placed_at <= %(now)s AND placed.status IN {ELIGIBLE}
    GROUP BY outcome.bundle_id
)
INSERT INTO catalog_bundle_acceptance_metrics AS kept (
    id, bundle_id, lookback_days, acceptance_rate, acceptance_count, sample_size, last_accepted_at,
    computed_at, metadata)
SELECT gen_random_uuid(), bundle.id, %(lookback_days)s,
       COALESCE(round(counted.acceptance_count::numeric / counted.sample_size, 4), 0),
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


def update_acceptance(*, lookback_days: int, now: datetime) -> int:
    """Bring the acceptance row of every bundle with orders, or with a row, up to now; return how many there are.

    Counts paid and confirmed orders placed in the last `lookback_days` days that hold the bundle's primary product.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            UPDATE, {"since": now - timedelta(days=lookback_days), "now": now, "lookback_days": lookback_days}
        )
        return int(cursor.rowcount)
