"""A shop's past, made by the database itself within seconds: a million exposures, two hundred thousand orders.

Forty experiments opened from January to June; half of them have ended. The same on every machine and every day: the
clock stands at `NOW`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from catalog_experiments.models import Experiment, ExperimentStatus
from catalog_experiments.phases import ensure_exposure_partition
from tests.builders import make_bundle, make_experiment, make_phase

NOW = datetime(2024, 6, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
EXPERIMENTS, EXPOSURES, ORDERS, ALIASES = 40, 1_000_000, 200_000, 30_000
RAN_DAYS = 28
MESSAGES = SHOP_ORDERS = 30_000

OPENED_DAYS_AGO = (
    *range(155, 165),  # January: closed, and all of it is due to leave
    92, 114, 120, 113, 112, 111, 110, 109, 36, 35,  # closed; one of February is due, two ended this month
    *range(46, 54),  # April, and since then running
    *range(16, 28, 2),  # May
    *range(5, 11),  # June
)  # fmt: skip
CLOSED = 20

EXPOSED = """
INSERT INTO catalog_bundle_exposures (id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at,
    recorded_at, is_mixed, excluded_as, segments)
SELECT gen_random_uuid(), met.month, met.experiment_id, met.phase_id,
       md5('visitor ' || mod(met.n * 7 + met.turn * 9973, 300000))::uuid,
       CASE WHEN mod(met.n, 2) = 0 THEN 'control' ELSE 'test' END, met.at,
       met.at + interval '2 seconds', mod(met.n, 97) = 0,
       CASE WHEN mod(met.n, 150) = 0 THEN 'bot' END, '{"device": "mobile"}'
FROM (
    SELECT phase.experiment_id, phase.id AS phase_id, n,
           date_trunc('month', phase.opened_at AT TIME ZONE 'UTC')::date AS month, phase.salt::int AS turn,
           phase.opened_at + n * (COALESCE(phase.closed_at, %(now)s) - phase.opened_at) / %(each)s AS at
    FROM catalog_bundle_experiment_phases phase, generate_series(0, %(each)s - 1) AS n
) AS met
ORDER BY met.at
"""

# Every twelfth exposure becomes an order within two days; the rest of the orders go back fourteen months.
SOLD = """
CREATE TEMPORARY TABLE sold AS
SELECT gen_random_uuid() AS id, row_number() OVER (ORDER BY at) AS turn, *
FROM (
    SELECT exposure.unit, exposure.phase_id, exposure.variant_key,
           exposure.exposed_at + mod(get_byte(uuid_send(exposure.unit), 3), 48) * interval '1 hour' AS at
    FROM catalog_bundle_exposures exposure WHERE mod(get_byte(uuid_send(exposure.unit), 2), 12) = 0
    UNION ALL
    SELECT CASE WHEN mod(n, 3) > 0 THEN md5('visitor ' || mod(n * 13, 300000))::uuid END, NULL, NULL,
           %(now)s - interval '420 days' * n / 115000
    FROM generate_series(1, 115000) AS n
) AS sale WHERE at <= %(now)s
"""
ORDERED = """
INSERT INTO catalog_checkout_orders (id, order_ref, unit, placed_at, revenue_minor, margin_minor, refunded_minor,
    currency, lines, offers, status, source, cancelled_at, excluded_as, recorded_at, revised_at, content_digest)
SELECT sold.id, 'order-' || turn, unit, at, 3300, 1500, 0, 'EUR',
       jsonb_build_array(
           jsonb_build_object('slug', COALESCE(phase.anchor_product_slug, 'other'), 'quantity', 1,
                              'price_minor', 2400, 'cost_minor', 1300),
           jsonb_build_object('slug', replace(phase.anchor_product_slug, 'product', 'part'), 'quantity', 1,
                              'price_minor', 900, 'cost_minor', 500)),
       '[]', CASE WHEN mod(turn, 40) = 0 THEN 'cancelled' ELSE 'paid' END, 'checkout',
       CASE WHEN mod(turn, 40) = 0 THEN at + interval '1 hour' END, CASE WHEN mod(turn, 400) = 1 THEN 'staff' END,
       at + interval '2 seconds',
       at + interval '2 seconds', sold.id
FROM sold LEFT JOIN catalog_bundle_experiment_phases phase ON phase.id = phase_id
ORDER BY turn
"""
SAID = """
INSERT INTO catalog_bundle_order_outcomes (id, order_id, bundle_id, accepted)
SELECT gen_random_uuid(), sold.id, bundle.id,
       variant.key IS NOT DISTINCT FROM sold.variant_key AND mod(get_byte(uuid_send(sold.id), 0), 7) = 0
FROM sold
LEFT JOIN catalog_bundle_experiment_phases phase ON phase.id = sold.phase_id
LEFT JOIN catalog_bundle_experiment_variants variant ON variant.experiment_id = phase.experiment_id
JOIN catalog_bundles bundle
    ON bundle.bundle_slug = COALESCE(variant.bundle_slug, 'bundle-' || mod(sold.turn, 40) || '-test')
ORDER BY sold.turn
"""
# A tenth of all visitors, two for each customer.
ALIASED = """
INSERT INTO catalog_unit_aliases (id, visitor, customer, recorded_at, stored_at)
SELECT gen_random_uuid(), md5('visitor ' || n)::uuid, md5('customer ' || n / 2)::uuid, at, at
FROM generate_series(0, %(aliases)s - 1) AS n, LATERAL (SELECT %(now)s - interval '160 days' AS at) AS told
"""
MESSAGED = """
WITH alerts AS (
    INSERT INTO notifications_alerts (id, dedupe_key, kind, severity, subject, summary, facts, occurred_at, created_at,
        acknowledged_by, acknowledgement_note)
    SELECT gen_random_uuid(), 'alert ' || n, 'guardrail', 'warning', 'A guardrail', '', '{}',
           %(now)s - n * interval '10 minutes', %(now)s - n * interval '10 minutes', '', ''
    FROM generate_series(1, %(messages)s) AS n RETURNING id, created_at
)
INSERT INTO notifications_deliveries (id, alert_id, channel, target, recipient, state, attempts, created_at,
    next_attempt_at, give_up_at, last_class, last_excerpt, message_id, sent_at)
SELECT gen_random_uuid(), id, 'webhook', 'webhook', '', CASE WHEN turn <= 20 THEN 'pending' ELSE 'sent' END, 0,
       created_at, created_at, created_at + interval '3 days', '', '', '', CASE WHEN turn > 20 THEN created_at END
FROM (SELECT *, row_number() OVER (ORDER BY created_at DESC) AS turn FROM alerts) AS alert
"""
KEPT_BY_THE_SHOP = """
INSERT INTO storefront_orders (id, reference, visitor_id, unit_id, placed_at, currency, total_minor, lines, offers,
    delivery, is_internal, reported_at, report_error)
SELECT gen_random_uuid(), 'KK-' || n, 'visitor ' || n, '', %(now)s - n * interval '10 minutes', 'EUR', 3300, '[]', '[]',
       '{}', false, CASE WHEN n > 5 THEN %(now)s - n * interval '10 minutes' END, ''
FROM generate_series(1, %(shop_orders)s) AS n
"""
INDEXES = """
SELECT relname, pg_get_constraintdef(pg_constraint.oid), pg_get_indexdef(indexrelid)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid LEFT JOIN pg_constraint ON conindid = indexrelid
WHERE indrelid = %s::regclass"""


def make_history() -> None:
    """Make the past in an empty database, and let the planner know of it."""
    for number, days in enumerate(OPENED_DAYS_AGO):
        _open(number, NOW - days * DAY)
    values: dict[str, Any] = {
        "now": NOW,
        "each": EXPOSURES // EXPERIMENTS,
        "aliases": ALIASES,
        "messages": MESSAGES,
        "shop_orders": SHOP_ORDERS,
    }
    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = '256MB'; SET maintenance_work_mem = '256MB'")
        with _without_indexes(cursor, "catalog_bundle_exposures"):
            cursor.execute(EXPOSED, values)
        for statement in (SOLD, ORDERED, SAID, ALIASED, MESSAGED, KEPT_BY_THE_SHOP):
            cursor.execute(statement, values)
        cursor.execute("DROP TABLE sold")
        # Without haste: autovacuum may have come first.
        cursor.execute("RESET work_mem; RESET maintenance_work_mem; SET lock_timeout = 0")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("RESET lock_timeout")


@contextmanager
def _without_indexes(cursor: CursorWrapper, table: str) -> Iterator[None]:
    """Let a partitioned table be filled without its indexes, and make them anew: half the time."""
    cursor.execute(INDEXES, [table])
    indexes = cursor.fetchall()
    for name, constraint, _ in indexes:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}" if constraint else f"DROP INDEX {name}")
    yield
    for name, constraint, index in indexes:
        again = f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint}" if constraint else index
        cursor.execute(again.replace(" ON ONLY ", " ON "))


def slug_of(number: int) -> str:
    """Return the slug of an experiment by its place in `OPENED_DAYS_AGO`."""
    return f"experiment-{number}"


def _open(number: int, opened_at: datetime) -> Experiment:
    ensure_exposure_partition(opened_at.date())
    page = f"product-{number}"
    variants = [
        {
            "key": key,
            "name": key.title(),
            "weight": 50,
            "is_control": key == "control",
            "bundle": make_bundle(
                bundle_slug=f"bundle-{number}-{key}",
                primary_product_slug=page,
                components=[{"slug": page, "quantity": 1}, {"slug": f"part-{number}", "quantity": 1}],
            ),
        }
        for key in ("control", "test")
    ]
    config = {"min_acceptance_rate": 0.01, "max_drop_vs_control": 0.9}
    experiment = make_experiment(slug=slug_of(number), variants=variants, guardrail_config=config)
    closed_at = opened_at + RAN_DAYS * DAY if number < CLOSED else None
    experiment.current_phase = make_phase(
        experiment,
        opened_at=opened_at,
        closed_at=closed_at,
        anchor_product_slug=page,
        salt=f"{number:016}",
        segments=["device"] if number % 2 else [],
        caps={"revenue": 12_000, "margin": 5_000},
    )
    experiment.status = ExperimentStatus.COMPLETED if closed_at else ExperimentStatus.RUNNING
    experiment.started_at, experiment.published_at, experiment.completed_at = opened_at, opened_at, closed_at
    experiment.save()
    return experiment
