"""A run that is killed, stalled or doubled leaves the numbers of before or after it, never something between."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from catalog_experiments.aggregation import BackfillResult, BundleAcceptanceAggregator, backfill
from catalog_experiments.management.commands import backfill_bundle_experiments
from catalog_experiments.models import (
    AggregationCursor,
    Cohort,
    GuardrailTally,
    JobLease,
    Moment,
    OpenUnit,
    VariantMetric,
)
from catalog_experiments.scheduling import AGGREGATION, LeaseLost, run_now, take_lease
from tests.builders import NOON
from tests.catalog_experiments.aggregation.test_runs import DAY, buy, expose, make_measured
from tests.databases import url_of_test_database
from tests.environment import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)

RUN = """
import django; django.setup()
from datetime import datetime
from catalog_experiments.aggregation import BundleAcceptanceAggregator, backfill
BundleAcceptanceAggregator().recompute(now=datetime.fromisoformat({now!r}))
"""
FILL_AND_DIE = """
import django; django.setup()
import importlib, os, signal
from datetime import datetime
module = importlib.import_module("catalog_experiments.aggregation.backfill")
module.SLICE = 1
def die_after_two(place, total):
    if place == 2:
        os.kill(os.getpid(), signal.SIGKILL)
module.backfill(lookback_days=30, now=datetime.fromisoformat({now!r}), progress=die_after_two)
"""
POINTS = {
    "before_anything": "catalog_bundle_experiment_cursors",
    "the_tallies": "catalog_bundle_experiment_guardrail_tallies",
    "the_cohorts": "catalog_bundle_experiment_cohorts",
    "the_open_units": "catalog_bundle_experiment_open_units",
    "the_moments": "catalog_bundle_experiment_moments",
    "the_metric_rows": "catalog_bundle_experiment_metrics",
}
"""Where a run waits for a table, and is killed: all that it wrote before is written, and nothing after."""


def numbers() -> list[Any]:
    own = [
        list(model.objects.order_by(*order).values())
        for model, order in (
            (GuardrailTally, ("variant_key", "outcome_hour_at")),
            (Cohort, ("cohort_date", "variant_key", "segment", "currency")),
            (Moment, ("cohort_date", "variant_key", "metric", "segment", "currency")),
            (OpenUnit, ("phase", "unit")),
        )
    ]
    return [[{name: value for name, value in row.items() if name != "id"} for row in rows] for rows in own]


def two_days() -> None:
    experiment = make_measured()
    expose(experiment, "control", "c1", "c2")
    expose(experiment, "test", "t1", "t2", at=NOON + DAY)
    buy("c1")
    buy("t1", at=NOON + DAY + dt.timedelta(hours=1))


def start(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": url_of_test_database(), "DJANGO_SETTINGS_MODULE": "smplat.settings"},
    )


def wait_until_blocked(run: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        assert run.poll() is None, "the run ended without touching the table"
        time.sleep(0.1)
    raise AssertionError("the run never came to the table")


@pytest.mark.parametrize("table", POINTS.values(), ids=POINTS)
def test_run__killed_at_any_point__leaves_the_numbers_of_before(table: str) -> None:
    two_days()
    BundleAcceptanceAggregator().recompute(now=NOON + 2 * DAY)
    buy("c2", at=NOON + DAY)
    buy("t1", at=NOON + DAY + dt.timedelta(hours=1), status="cancelled", cancelled_at=NOON + 2 * DAY)
    before = numbers()
    cursors = list(AggregationCursor.objects.order_by("pk").values())

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        run = start(RUN.format(now=(NOON + 2 * DAY).isoformat()))
        wait_until_blocked(run)
        run.send_signal(signal.SIGKILL)
        run.wait()

    assert numbers() == before
    assert list(AggregationCursor.objects.order_by("pk").values()) == cursors
    BundleAcceptanceAggregator().recompute(now=NOON + 2 * DAY)
    refreshed = numbers()
    AggregationCursor.objects.all().delete()
    BundleAcceptanceAggregator().recompute(now=NOON + 2 * DAY)
    assert numbers() == refreshed != before


def test_run__stalled_until_another_took_over__writes_nothing() -> None:
    two_days()
    stalled = take_lease("job:bundle-acceptance-aggregation", seconds=60)
    JobLease.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    successor = take_lease("job:bundle-acceptance-aggregation")

    with pytest.raises(LeaseLost):
        BundleAcceptanceAggregator(guard=stalled.guard).recompute(now=NOON + 2 * DAY)

    assert not any(numbers())
    BundleAcceptanceAggregator(guard=successor.guard).recompute(now=NOON + 2 * DAY)
    assert all(numbers())


def test_lease__while_its_owner_commits__is_not_taken_over() -> None:
    owner = take_lease("job:a", seconds=60)
    JobLease.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))

    with owner.guard(), pytest.raises(Exception, match="lock timeout"):
        take_lease("job:a")

    assert take_lease("job:a").token == owner.token + 1


def test_job__while_another_runs__says_so_and_leaves_the_numbers_alone() -> None:
    two_days()
    held = take_lease("job:bundle-acceptance-aggregation")

    result = run_now(AGGREGATION, now=NOON + 2 * DAY)

    assert (result.outcome, result.reason) == ("skipped", "already running")
    assert not any(numbers())
    held.release()
    assert run_now(AGGREGATION, now=NOON + 2 * DAY).outcome == "done"
    assert all(numbers())
    connections.close_all()


def test_backfill__killed_between_slices__goes_on_with_the_next() -> None:
    for slug in ("a", "b", "c"):
        expose(make_measured(slug=slug), "test", "t1")

    killed = start(FILL_AND_DIE.format(now=(NOON + DAY).isoformat()))
    killed.wait()
    kept = list(VariantMetric.objects.order_by("pk").values())
    resumed = backfill(lookback_days=30, now=NOON + DAY)

    assert killed.returncode == -signal.SIGKILL
    assert (len(kept), resumed.created, resumed.unchanged) == (8, 4, 8)
    assert list(VariantMetric.objects.filter(pk__in=[row["id"] for row in kept]).order_by("pk").values()) == kept


def test_backfill__whose_lease_was_taken_over__writes_nothing() -> None:
    two_days()
    stalled = take_lease("job:bundle-experiment-backfill")
    JobLease.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    take_lease("job:bundle-experiment-backfill")

    with pytest.raises(LeaseLost):
        backfill(lookback_days=30, now=NOON + 2 * DAY, guard=stalled.guard)

    assert not VariantMetric.objects.exists()


def test_backfill_command__whose_lease_was_taken_over__writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    two_days()

    def overtaken(**arguments: Any) -> BackfillResult:
        JobLease.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
        take_lease("job:bundle-experiment-backfill")
        return backfill(**arguments)

    monkeypatch.setattr(backfill_bundle_experiments, "backfill", overtaken)
    with pytest.raises(CommandError, match="LeaseLost"):
        call_command("backfill_bundle_experiments", "--lookback-days=3650")

    assert not VariantMetric.objects.exists()
    connections.close_all()
