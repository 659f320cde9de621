"""Health and metrics of the jobs: they tell the truth, and off is never called ready."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from catalog_experiments.models import IntakeOutcome, JobOutcome, JobRun
from catalog_experiments.probes import (
    Answer,
    bundle_acceptance,
    bundle_guardrails,
    catalog_scheduler,
    collect_metrics,
    job_figures,
)
from catalog_experiments.scheduling import sync_schedules
from tests.builders import make_running_experiment
from tests.catalog_experiments.test_scheduling import SWITCHED_ON

SCHEDULE = Path(settings.BASE_DIR) / "config" / "schedules.toml"
GUARDRAIL_JOB = "bundle-guardrail-evaluation"


def add_run(job: str, outcome: str, minutes_ago: float, *, attempts: int = 1, seconds: float = 2.0) -> JobRun:
    ended = timezone.now() - dt.timedelta(minutes=minutes_ago)
    return JobRun.objects.create(
        job=job,
        slot_at=ended - dt.timedelta(seconds=seconds),
        started_at=ended - dt.timedelta(seconds=seconds),
        finished_at=ended,
        outcome=outcome,
        attempts=attempts,
    )


def test_probes__everything_off__well_and_said_to_be_disabled(db: None) -> None:
    answers = [probe() for probe in (catalog_scheduler, bundle_guardrails, bundle_acceptance)]

    assert [ok for _, ok, _ in answers] == [True, True, True]
    assert all(detail.startswith("disabled") for _, _, detail in answers)


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
@pytest.mark.parametrize("probe", [catalog_scheduler, bundle_guardrails, bundle_acceptance])
def test_probes__on_but_never_synchronised__not_ready(probe: Callable[[], Answer]) -> None:
    make_running_experiment(now=timezone.now())

    _, ok, detail = probe()

    assert not ok
    assert "sync_schedules" in detail


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
@pytest.mark.parametrize(
    ("synced_minutes_ago", "last_run_minutes_ago", "ok", "word"),
    [(1, None, True, "starting"), (60, None, False, "late"), (60, 4, True, "ready"), (600, 30, False, "late")],
)
def test_bundle_guardrails__age_of_the_last_success__decides(
    synced_minutes_ago: int, last_run_minutes_ago: int | None, ok: bool, word: str
) -> None:
    since = timezone.now() - dt.timedelta(minutes=synced_minutes_ago)
    make_running_experiment(now=since)
    sync_schedules(SCHEDULE, now=since)
    if last_run_minutes_ago is not None:
        add_run(GUARDRAIL_JOB, JobOutcome.DONE, last_run_minutes_ago)

    answer = bundle_guardrails()

    assert answer[1] is ok
    assert answer[2].startswith(word)


@pytest.mark.django_db
@override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED=True)
def test_bundle_guardrails__loop_without_scheduler__judged_by_its_interval() -> None:
    make_running_experiment(now=timezone.now() - dt.timedelta(hours=5))

    never = bundle_guardrails()
    add_run(GUARDRAIL_JOB, JobOutcome.DONE, 20)
    lately = bundle_guardrails()

    assert never[1:] == (False, "late: it never succeeded, expected every 900 s")
    assert lately[1]


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_catalog_scheduler__given_up_since_the_last_success__not_ready() -> None:
    sync_schedules(SCHEDULE, now=timezone.now())
    add_run(GUARDRAIL_JOB, JobOutcome.DEAD, 30)
    add_run(GUARDRAIL_JOB, JobOutcome.DONE, 20)
    healthy = catalog_scheduler()
    add_run(GUARDRAIL_JOB, JobOutcome.DEAD, 10)
    add_run(GUARDRAIL_JOB, JobOutcome.DEAD, 5)

    failing = catalog_scheduler()

    assert healthy[1]
    assert failing[1:] == (False, f"given up in a row: {GUARDRAIL_JOB} (2)")


@pytest.mark.django_db
def test_job_figures__retries_and_failures__counted_by_run_and_attempt() -> None:
    add_run(GUARDRAIL_JOB, JobOutcome.DONE, 30, attempts=2)
    add_run(GUARDRAIL_JOB, JobOutcome.DEAD, 20, attempts=3)
    add_run(GUARDRAIL_JOB, JobOutcome.FAILED, 10, attempts=1)

    [figures] = job_figures()

    assert (figures.runs, figures.success, figures.run_failures) == (3, 1, 1)
    assert (figures.attempt_failures, figures.retries, figures.streak) == (5, 3, 1)
    assert figures.runtime_seconds == pytest.approx(6.0)
    assert figures.task == "catalog_experiments.tasks.run_guardrail_evaluation"


class _Ours(Collector):
    def collect(self) -> Iterator[Metric]:
        return collect_metrics()


@pytest.mark.django_db
def test_collect_metrics__two_jobs__strict_names_types_and_one_help_each() -> None:
    add_run(GUARDRAIL_JOB, JobOutcome.DONE, 30, attempts=2)
    add_run("bundle-acceptance-aggregation", JobOutcome.DEAD, 10, attempts=3)
    registry = CollectorRegistry()
    registry.register(_Ours())

    text = generate_latest(registry).decode()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    prefix = "smplat_catalog_scheduler"
    helps = [line for line in text.splitlines() if line.startswith("# HELP")]
    assert len(helps) == len(set(helps)) == len(families)
    for name in ("runs", "success", "run_failures", "attempt_failures", "retries"):
        assert families[f"{prefix}_{name}"].type == "counter"
    assert f"{prefix}_runs_total 2.0" in text
    assert f"{prefix}_retries_total 3.0" in text
    labels = f'{{job_id="{GUARDRAIL_JOB}",task="catalog_experiments.tasks.run_guardrail_evaluation"}}'
    assert f"{prefix}_job_success_total{labels} 1.0" in text
    assert f"{prefix}_job_runtime_seconds_total{labels} 2.0" in text
    assert f"{prefix}_job_consecutive_failures{labels} 0.0" in text
    assert families[f"{prefix}_job_last_success_timestamp"].type == "gauge"
    assert families[f"{prefix}_job_last_error_timestamp"].samples[0].labels["job_id"] == "bundle-acceptance-aggregation"


@pytest.mark.django_db
def test_collect_metrics__answers_of_the_last_day__are_a_gauge_by_kind_outcome_and_code() -> None:
    now = timezone.now()
    for hours, count in ((0, 3), (2, 4), (48, 100)):
        hour_at = (now - dt.timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
        IntakeOutcome.objects.create(
            kind="orders", hour_at=hour_at, outcome="conflict", code="content_differs", report_count=count
        )

    [metric] = [metric for metric in collect_metrics() if metric.name == "smplat_intake_outcomes_last_day"]

    [sample] = metric.samples
    assert (metric.type, sample.value) == ("gauge", 7.0)
    assert sample.labels == {"kind": "orders", "outcome": "conflict", "code": "content_differs"}
