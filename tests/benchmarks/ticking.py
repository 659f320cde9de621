"""What group `guardrail-tick` does in a process and a database of its own: healthy experiments of two weeks, judged."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402 - models need the settings
from django.db.models import Func, IntegerField  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from catalog_experiments.enforcement import evaluate_due  # noqa: E402
from catalog_experiments.models import GuardrailEvaluation  # noqa: E402
from catalog_experiments.phases import ensure_exposure_partition  # noqa: E402
from smplat.celery import rest_the_collector  # noqa: E402
from tests.builders import make_running_experiment  # noqa: E402

UNITS, ROUNDS, OPENED_DAYS = 1_200, 5, 14

# Half of the units order, a fifth of these take the bundle; both variants alike, spread over the phase.
EXPOSURES = """
INSERT INTO catalog_bundle_exposures (id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at,
    recorded_at, is_mixed, is_fault, is_merged, is_holdout)
SELECT gen_random_uuid(), date_trunc('month', p.opened_at)::date, p.experiment_id, p.id,
    md5(concat(p.id, n, %(round)s))::uuid, CASE WHEN mod(n, 2) = 0 THEN 'control' ELSE 'test' END,
    %(since)s::timestamptz + n * %(step)s::interval, %(since)s::timestamptz + n * %(step)s::interval,
    false, false, false, false
FROM catalog_bundle_experiment_phases p, generate_series(1, %(units)s) AS n
"""
ORDERS = """
INSERT INTO catalog_checkout_orders (id, order_ref, unit, placed_at, status, revenue_minor, refunded_minor, currency,
    lines, offers, source, recorded_at, revised_at, content_digest)
SELECT gen_random_uuid(), e.unit::text, e.unit, e.exposed_at + interval '1 second', 'paid', 3240, 0, 'EUR',
    '[]', '[]', '', e.exposed_at + interval '1 second', e.exposed_at + interval '1 second', e.unit
FROM catalog_bundle_exposures e
WHERE e.exposed_at >= %(since)s AND mod(get_byte(uuid_send(e.unit), 6), 2) = 0
    AND NOT EXISTS (SELECT 1 FROM catalog_checkout_orders o WHERE o.order_ref = e.unit::text)
"""
OUTCOMES = """
INSERT INTO catalog_bundle_order_outcomes (id, order_id, bundle_id, accepted)
SELECT gen_random_uuid(), o.id, b.id, mod(get_byte(uuid_send(o.unit), 7), 5) = 0
FROM catalog_checkout_orders o
JOIN catalog_bundle_exposures e ON e.unit = o.unit
JOIN catalog_bundle_experiment_variants v ON v.experiment_id = e.experiment_id AND v.key = e.variant_key
JOIN catalog_bundles b ON b.bundle_slug = v.bundle_slug
WHERE o.placed_at >= %(since)s
    AND NOT EXISTS (SELECT 1 FROM catalog_bundle_order_outcomes known WHERE known.order_id = o.id)
"""


def measured(experiments: int) -> dict[str, float]:
    opened_at = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0) - dt.timedelta(days=OPENED_DAYS)
    _make_experiments(experiments, opened_at)
    _add(opened_at, units=UNITS, step=dt.timedelta(days=OPENED_DAYS) / UNITS, number=0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    evaluate_due(now=dt.datetime.now(dt.UTC))
    rest_the_collector()  # as the workers do
    quiet, quiet_cpu, quiet_queries = _rounds(experiments, _nothing)
    news, news_cpu, news_queries = _rounds(experiments, _new_orders)
    size = Func("inputs", function="pg_column_size", output_field=IntegerField())
    sizes = GuardrailEvaluation.objects.annotate(bytes=size).values_list("bytes", flat=True)
    return {
        "quiet": quiet,
        "news": news,
        "quiet_cpu": quiet_cpu,
        "news_cpu": news_cpu,
        "quiet_queries": quiet_queries,
        "news_queries": news_queries,
        "record_bytes": median(sizes),
    }


def _nothing(number: int) -> None:
    """Let a round find what the one before found."""


def _new_orders(number: int) -> None:
    since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    _add(since, units=10, step=dt.timedelta(milliseconds=2), number=number)


def _rounds(experiments: int, happen: Callable[[int], None]) -> tuple[float, float, int]:
    """Return seconds and processor seconds of the least disturbed tick after such an event, and the queries of one."""
    costs = [_tick(experiments, happen, number) for number in range(1, ROUNDS + 1)]
    with CaptureQueriesContext(connection) as captured:
        _tick(experiments, happen, ROUNDS + 1)
    seconds, processor = zip(*costs, strict=True)
    return min(seconds), min(processor), len(captured) - (3 if happen is _new_orders else 0)


def _tick(experiments: int, happen: Callable[[int], None], number: int) -> tuple[float, float]:
    happen(number)
    started, worked = time.perf_counter(), time.process_time()
    result = evaluate_due(now=dt.datetime.now(dt.UTC))
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    if (result.evaluated, result.paused, result.errors) != (experiments, 0, ()):
        raise SystemExit(f"not the round that was to be measured: {result}")
    return seconds, processor


def _make_experiments(experiments: int, opened_at: dt.datetime) -> None:
    ensure_exposure_partition(opened_at.date())
    for number in range(experiments):
        make_running_experiment(slug=f"experiment-{number}", now=opened_at)


def _add(since: dt.datetime, *, units: int, step: dt.timedelta, number: int) -> None:
    values: dict[str, Any] = {"since": since, "units": units, "step": step, "round": number}
    with connection.cursor() as cursor:
        for statement in (EXPOSURES, ORDERS, OUTCOMES):
            cursor.execute(statement, values)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    json.dump(measured(int(sys.argv[1])), sys.stdout)
