"""Orders leave by the age of the order, oldest first, and with each what it said about bundles."""

from __future__ import annotations

from dataclasses import replace

from django.db import connection, transaction

from catalog_experiments.progress import Progress
from catalog_experiments.retention import rules
from catalog_experiments.retention.report import OrderFacts

STAGE = "orders"

# How many stay is not counted for their share of the bytes: the database knows it nearly, and they are all the rest.
COUNT = """
WITH leaving AS (
    SELECT count(*) AS orders, COALESCE(sum(said.outcomes), 0) AS outcomes
    FROM catalog_checkout_orders placed
    CROSS JOIN LATERAL (
        SELECT count(*) AS outcomes FROM catalog_bundle_order_outcomes WHERE order_id = placed.id
    ) AS said
    WHERE placed.placed_at < %(before_at)s
)
SELECT leaving.orders, leaving.outcomes, sum(
    pg_total_relation_size(held.oid) * own.row_count / greatest(1, own.row_count, held.reltuples::numeric)
)
FROM leaving
CROSS JOIN LATERAL (
    VALUES ('catalog_checkout_orders'::regclass, leaving.orders),
           ('catalog_bundle_order_outcomes'::regclass, leaving.outcomes)
) AS own(relation, row_count)
JOIN pg_class held ON held.oid = own.relation
GROUP BY 1, 2
"""

# Rows that somebody revises at this moment stay for the next run. As arrays the ids lead to their rows by the index,
# also where a batch is a good part of the table.
DELETE = """
WITH due AS MATERIALIZED (
    SELECT id FROM catalog_checkout_orders WHERE placed_at < %(before_at)s
    ORDER BY placed_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), outcomes AS (
    DELETE FROM catalog_bundle_order_outcomes WHERE order_id = ANY(ARRAY(SELECT id FROM due))
)
DELETE FROM catalog_checkout_orders WHERE id = ANY(ARRAY(SELECT id FROM due))
"""


# Hours that were counted from orders that are gone: they only served to count again.
FORGET_HOURS = "DELETE FROM catalog_bundle_acceptance_hours WHERE hour_at < %(before_at)s"
FORGET_ERASED_DAYS = """
DELETE FROM catalog_erased_cohorts
WHERE phase_id IS NULL AND cohort_date < (%(before_at)s::timestamptz AT TIME ZONE 'UTC')::date"""
FORGET_ERASED_HOURS = """
UPDATE catalog_erased_cohorts SET sums = jsonb_build_object('hours', COALESCE((
    SELECT jsonb_agg(own) FROM jsonb_array_elements(sums -> 'hours') AS own
    WHERE (own ->> 'hour_at')::timestamptz >= %(before_at)s), '[]'))
WHERE phase_id IS NULL AND cohort_date = (%(before_at)s::timestamptz AT TIME ZONE 'UTC')::date"""


def survey(wanted: OrderFacts) -> OrderFacts:
    """Fill in how many orders and outcomes lie before the moment, and their size. Reads only."""
    if wanted.before_at is None:
        return wanted
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(COUNT, {"before_at": wanted.before_at})
        orders, outcomes, size_bytes = map(int, cursor.fetchone())
    return replace(wanted, orders=orders, outcomes=outcomes, size_bytes=size_bytes)


def remove(leaving: OrderFacts, *, tell: Progress) -> None:
    """Delete the surveyed orders with their outcomes, in batches, each its own transaction. Safe to repeat."""
    done, count = 0, rules.BATCH if leaving.orders else 0
    while count == rules.BATCH:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(DELETE, {"before_at": leaving.before_at, "batch": rules.BATCH})
            count = cursor.rowcount
        done += count
        tell(STAGE, done, max(done, leaving.orders))
    if leaving.before_at is not None:
        with connection.cursor() as cursor:
            for forget in (FORGET_HOURS, FORGET_ERASED_DAYS, FORGET_ERASED_HOURS):
                cursor.execute(forget, {"before_at": leaving.before_at})
