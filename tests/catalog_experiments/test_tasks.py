"""Celery's way in: every task ends in the ledger, may be run twice, and answers as the runbook's did."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from catalog_experiments.models import JobOutcome, JobRun, VariantMetric
from catalog_experiments.scheduling import (
    AGGREGATION,
    ALIASES,
    BACKFILL,
    CALIBRATION,
    GUARDRAILS,
    JOBS,
    RETENTION,
    SWEEP,
    TIMETABLE,
    VERIFICATION,
)
from catalog_experiments.tasks import TASKS
from smplat.celery import app
from tests.builders import make_running_experiment
from tests.catalog_experiments.buyers import add_buyers
from tests.catalog_experiments.test_scheduling import SWITCHED_ON

OURS = sorted(TASKS)
IGNORED_TABLES = {"catalog_job_runs", "catalog_job_leases"}


def make_measured() -> None:
    """Make a breaching experiment whose facts lie in the last hours, so that every task has something to do."""
    now = timezone.now()
    experiment = make_running_experiment(now=now - dt.timedelta(hours=6))
    add_buyers(experiment, "control", 60, 12, at=now - dt.timedelta(hours=5))
    add_buyers(experiment, "test", 60, 3, at=now - dt.timedelta(hours=5))


def answer_of(name: str) -> dict[str, Any]:
    """Run a task in this process and return its answer; what it raises is raised here."""
    answer = TASKS[name].apply(throw=True).result
    assert isinstance(answer, dict)
    return answer


def dump() -> dict[str, list[str]]:
    """Read every row of our tables, without ids and times of writing, which may differ between two equal runs."""
    rows = dict[str, list[str]]()
    tables = [model._meta.db_table for label in ("catalog_experiments", "notifications") for model in models_of(label)]
    with connection.cursor() as cursor:
        for table in sorted(set(tables) - IGNORED_TABLES):
            cursor.execute(f"SELECT to_jsonb(t) - '{{id,computed_at,watermark_at,recorded_to}}'::text[] FROM {table} t")
            rows[table] = sorted(json.dumps(row[0], sort_keys=True) for row in cursor.fetchall())
    return rows


def models_of(label: str) -> Any:
    return apps.get_app_config(label).get_models()


def test_registry__all_names_of_the_schedule_and_the_runbook__are_registered() -> None:
    names = {AGGREGATION, GUARDRAILS, BACKFILL, CALIBRATION, RETENTION, SWEEP, TIMETABLE, VERIFICATION, *ALIASES}

    app.loader.import_default_modules()

    assert names == set(TASKS)
    assert names <= set(app.tasks)
    assert set(JOBS) <= set(app.tasks)


@pytest.mark.django_db
@pytest.mark.parametrize("name", OURS)
@override_settings(**SWITCHED_ON)
def test_task__run_twice_in_a_row__second_changes_nothing(name: str) -> None:
    make_measured()
    answer_of(name)
    JobRun.objects.all().delete()
    before = dump()

    answer_of(name)

    assert dump() == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", [AGGREGATION, GUARDRAILS])
@override_settings(**SWITCHED_ON)
def test_task__run_twice_at_once__works_once(name: str) -> None:
    make_measured()
    answers, barrier = list[dict[str, Any]](), threading.Barrier(2)

    def run() -> None:
        barrier.wait(10)
        try:
            answers.append(answer_of(name))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted("skipped" in answer for answer in answers) == [False, True]
    assert JobRun.objects.get().outcome == JobOutcome.DONE


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_run_aggregation__switched_on__answers_processed_and_writes_rows() -> None:
    make_measured()

    answer = answer_of(AGGREGATION)

    assert answer["processed"] == 1
    assert answer["lookback_days"] == 30
    assert answer["duration_seconds"] >= 0
    assert VariantMetric.objects.count() == 2
    assert JobRun.objects.get().watermark_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (AGGREGATION, {"processed": 0, "skipped": True, "reason": "switched off"}),
        (GUARDRAILS, {"evaluated": 0, "skipped": True, "reason": "switched off"}),
        (BACKFILL, {"processed": 0, "skipped": True, "reason": "switched off"}),
    ],
)
def test_task__switched_off__answers_skipped_and_leaves_no_run(name: str, answer: dict[str, Any]) -> None:
    assert answer_of(name) == answer
    assert not JobRun.objects.exists()


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_run_guardrail_evaluation__running_experiment__answers_counts() -> None:
    make_measured()

    assert answer_of(GUARDRAILS) == {"evaluated": 1, "paused": 0, "alerts": 0}


@pytest.mark.django_db(transaction=True)
@override_settings(**SWITCHED_ON)
def test_task__sent_through_the_real_broker__is_worked(broker: Any) -> None:
    from celery.contrib.testing.worker import start_worker

    with start_worker(app, perform_ping_check=False, queues=["control", "bulk"], shutdown_timeout=20):
        app.send_task("smplat_api.jobs.bundle_guardrails.run_guardrail_evaluation", queue="control")
        deadline = time.monotonic() + 20
        while not JobRun.objects.filter(outcome=JobOutcome.DONE).exists() and time.monotonic() < deadline:
            time.sleep(0.1)

    assert JobRun.objects.get().job == "bundle-guardrail-evaluation"
