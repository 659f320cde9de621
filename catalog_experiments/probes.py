"""What health pages and Prometheus ask: are the jobs on, do they run and succeed; what did intake not just store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, DurationField, ExpressionWrapper, F, Max, Min, Q, Sum
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from catalog_experiments.intake import answers_of_last_day
from catalog_experiments.models import Experiment, JobOutcome, JobRun
from catalog_experiments.scheduling import (
    AGGREGATION,
    GUARDRAILS,
    JOBS,
    ScheduledJob,
    is_switched_on,
    scheduled_jobs,
)

Answer = tuple[str, bool, str]

INTERVALS_ALLOWED = 2
GRACE = timedelta(minutes=2)
PREFIX = "smplat_catalog_scheduler"
GIVEN_UP = Q(outcome=JobOutcome.DEAD)


def catalog_scheduler() -> Answer:
    """Say whether the scheduler is on, knows its jobs, and whether none of them was given up last."""
    name = "catalog_scheduler"
    if not settings.CATALOG_JOB_SCHEDULER_ENABLED:
        return name, True, "disabled: CATALOG_JOB_SCHEDULER_ENABLED is off"
    jobs = scheduled_jobs()
    if not any(job.is_enabled for job in jobs):
        return name, False, "enabled, but no job is scheduled: run sync_schedules"
    failing = [f"{figures.job} ({figures.streak})" for figures in job_figures() if figures.streak]
    if failing:
        return name, False, f"given up in a row: {', '.join(failing)}"
    return name, True, f"ready: {sum(job.is_enabled for job in jobs)} of {len(jobs)} jobs enabled"


def bundle_guardrails() -> Answer:
    """Say whether running experiments are really being judged."""
    name, now = "bundle_guardrails", timezone.now()
    if not is_switched_on(GUARDRAILS):
        return name, True, "disabled: BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED is off, nothing pauses by itself"
    job, since_at = _scheduled(GUARDRAILS), Experiment.objects.running().aggregate(at=Min("published_at"))["at"]
    if since_at is None:
        return name, True, "ready: no experiment runs"
    if settings.CATALOG_JOB_SCHEDULER_ENABLED and (job is None or not job.is_enabled):
        return name, False, "switched on, but its job is not scheduled: run sync_schedules"
    interval = timedelta(seconds=settings.BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS)
    if job is not None and settings.CATALOG_JOB_SCHEDULER_ENABLED:
        interval, since_at = timedelta(seconds=job.spec.cron.shortest_gap_seconds), max(since_at, job.since_at)
    return _judged_by_age(name, GUARDRAILS, interval, since_at, now)


def bundle_acceptance() -> Answer:
    """Say whether the numbers are being recomputed."""
    name, now = "bundle_acceptance", timezone.now()
    if not is_switched_on(AGGREGATION):
        return name, True, "disabled: BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED is off, numbers stand still"
    job = _scheduled(AGGREGATION)
    if not settings.CATALOG_JOB_SCHEDULER_ENABLED:
        return name, True, "not scheduled here: CATALOG_JOB_SCHEDULER_ENABLED is off"
    if job is None or not job.is_enabled:
        return name, False, "switched on, but its job is not scheduled: run sync_schedules"
    interval = timedelta(seconds=job.spec.cron.shortest_gap_seconds)
    return _judged_by_age(name, AGGREGATION, interval, job.since_at, now)


PROBES: tuple[Callable[[], Answer], ...] = (catalog_scheduler, bundle_guardrails, bundle_acceptance)


@dataclass(frozen=True, slots=True)
class JobFigures:
    """What the ledger says of one job since its first run; times are aware, None before the first of their kind.

    `runs` counts slots, `retries` further attempts, `streak` the runs given up since the last success.
    """

    job: str
    task: str
    runs: int
    success: int
    run_failures: int
    attempt_failures: int
    retries: int
    runtime_seconds: float
    streak: int
    last_success_at: datetime | None
    last_error_at: datetime | None


def job_figures() -> list[JobFigures]:
    """Return the figures of every job in the ledger, by job id; two queries."""
    runtime = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    rows = JobRun.objects.values("job").annotate(
        runs=Count("pk"),
        success=Count("pk", filter=Q(outcome=JobOutcome.DONE)),
        run_failures=Count("pk", filter=GIVEN_UP),
        unfinished=Count("pk", filter=Q(outcome=JobOutcome.RUNNING)),
        attempts_made=Sum("attempts"),
        runtime=Sum(runtime),
        last_success_at=Max("finished_at", filter=Q(outcome=JobOutcome.DONE)),
        last_success_slot=Max("slot_at", filter=Q(outcome=JobOutcome.DONE)),
        last_error_at=Max("finished_at", filter=GIVEN_UP | Q(outcome=JobOutcome.FAILED)),
    )
    given_up = list(JobRun.objects.filter(GIVEN_UP).values_list("job", "slot_at"))
    tasks = {job.spec.id: job.spec.task for job in scheduled_jobs()} | {known.id: task for task, known in JOBS.items()}
    return [_figures(row, given_up, tasks) for row in rows.order_by("job")]


def collect_metrics() -> Iterator[Metric]:
    """Yield the scheduler's families, each once, with one sample per job where they are per job; and intake's."""
    yield from _scheduler_metrics()
    yield _intake_metric(now=timezone.now())


def _scheduler_metrics() -> Iterator[Metric]:
    figures = job_figures()
    for field, help_text in TOTALS.items():
        value = sum(getattr(own, field) for own in figures)
        yield CounterMetricFamily(f"{PREFIX}_{field}", f"{help_text}, all jobs.", value=value)
    for field, help_text in {name: text for name, text in TOTALS.items() if name != "attempt_failures"}.items():
        yield _per_job(
            CounterMetricFamily, f"job_{field}", f"{help_text}.", {own: getattr(own, field) for own in figures}
        )
    runtimes = {own: own.runtime_seconds for own in figures}
    yield _per_job(CounterMetricFamily, "job_runtime_seconds", "Time spent in the last attempts of runs.", runtimes)
    streaks = {own: own.streak for own in figures}
    yield _per_job(GaugeMetricFamily, "job_consecutive_failures", "Runs given up since the last success.", streaks)
    for field in ("last_success", "last_error"):
        times = {own: at.timestamp() for own in figures if (at := getattr(own, f"{field}_at")) is not None}
        help_text = f"Unix time of the {field.replace('_', ' ')}."
        yield _per_job(GaugeMetricFamily, f"job_{field}_timestamp", help_text, times)


TOTALS = {
    "runs": "Runs, one per slot",
    "success": "Runs that succeeded",
    "run_failures": "Runs given up",
    "attempt_failures": "Attempts that failed",
    "retries": "Attempts after the first",
}


def _scheduled(task: str) -> ScheduledJob | None:
    return next((job for job in scheduled_jobs() if job.spec.task == task), None)


def _judged_by_age(name: str, task: str, interval: timedelta, since_at: datetime, now: datetime) -> Answer:
    """Compare the last success with the interval; a job that has had no time to run yet is starting."""
    job = next((own.spec.id for own in scheduled_jobs() if own.spec.task == task), JOBS[task].id)
    last_at = JobRun.objects.filter(job=job, outcome=JobOutcome.DONE).aggregate(at=Max("finished_at"))["at"]
    allowed = INTERVALS_ALLOWED * interval + GRACE
    if last_at is not None and now - last_at <= allowed:
        return name, True, f"ready: last success at {last_at:%Y-%m-%d %H:%M} UTC"
    if last_at is None and now - since_at <= allowed:
        return name, True, "starting: its first run is still to come"
    told = f"last success at {last_at:%Y-%m-%d %H:%M} UTC" if last_at else "it never succeeded"
    return name, False, f"late: {told}, expected every {interval.total_seconds():.0f} s"


def _figures(row: Mapping[str, Any], given_up: list[tuple[str, datetime]], tasks: dict[str, str]) -> JobFigures:
    since = row["last_success_slot"]
    return JobFigures(
        job=row["job"],
        task=tasks.get(row["job"], ""),
        runs=row["runs"],
        success=row["success"],
        run_failures=row["run_failures"],
        attempt_failures=row["attempts_made"] - row["success"] - row["unfinished"],
        retries=row["attempts_made"] - row["runs"],
        runtime_seconds=row["runtime"].total_seconds() if row["runtime"] else 0.0,
        streak=sum(job == row["job"] and (since is None or slot_at > since) for job, slot_at in given_up),
        last_success_at=row["last_success_at"],
        last_error_at=row["last_error_at"],
    )


def _intake_metric(*, now: datetime) -> Metric:
    # A gauge: the counts behind it leave after a month, and to Prometheus a counter never falls.
    metric = GaugeMetricFamily(
        "smplat_intake_outcomes_last_day",
        "Reports of the last 24 hours that were not plainly stored, by what became of them.",
        labels=["kind", "outcome", "code"],
    )
    for told in answers_of_last_day(now=now):
        metric.add_metric([told.kind, told.outcome, told.code], told.report_count)
    return metric


def _per_job(
    family: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    help_text: str,
    values: Mapping[JobFigures, float],
) -> Metric:
    metric = family(f"{PREFIX}_{name}", help_text, labels=["job_id", "task"])
    for own, value in values.items():
        metric.add_metric([own.job, own.task], value)
    return metric
