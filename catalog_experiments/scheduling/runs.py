"""Run what is owed: a task that was woken, or the sweep that needs nobody to wake it. Both end in the same ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings

from catalog_experiments.aggregation import BundleAcceptanceAggregator, Guard, backfill
from catalog_experiments.canary import CanaryRound, calibrate, watch_canaries
from catalog_experiments.enforcement import TickResult, evaluate_due
from catalog_experiments.lifecycle import release_slots
from catalog_experiments.models import CalibrationRun, JobOutcome, JobRun
from catalog_experiments.publication import prune_documents
from catalog_experiments.retention import RetentionRules, retire
from catalog_experiments.scheduling.beat_rows import ScheduledJob, scheduled_jobs
from catalog_experiments.scheduling.cron import Cron
from catalog_experiments.scheduling.jobs import (
    AGGREGATION,
    BACKFILL,
    CALIBRATION,
    GUARDRAILS,
    JOBS,
    RETENTION,
    TIMETABLE,
    VERIFICATION,
)
from catalog_experiments.scheduling.leases import Lease, LeaseHeld, lease
from catalog_experiments.scheduling.ledger import Work, claim_slot, is_open, settle_done, settle_failed
from catalog_experiments.scheduling.schedule import JobSpec
from catalog_experiments.scheduling.verification import verify_aggregates
from catalog_experiments.timetable import act_due

logger = logging.getLogger(__name__)

Worker = Callable[..., Work]

GRACE_SECONDS = 60
"""How long an interval's slot is left to the scheduler and its workers before the sweep takes it."""

OWED_DAYS = 7
"""How far back slots of daily jobs are made up for."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of a call: `outcome` is a `JobOutcome`; skipped with a reason when there was nothing to do."""

    job: str
    outcome: str
    reason: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_skipped(self) -> bool:
        """Say whether nothing was done."""
        return self.outcome == JobOutcome.SKIPPED


@dataclass(frozen=True, slots=True)
class OwedSlot:
    """A slot of a job that somebody should have worked by now."""

    job: ScheduledJob
    slot_at: datetime


def run_task(
    task: str, *, now: datetime, kwargs: Mapping[str, Any] | None = None, trigger: str = "schedule"
) -> JobResult:
    """Work the slot of a task's job that is owed now; skipped when its switch is off, or it is done or being done."""
    if not is_switched_on(task):
        return JobResult(JOBS[task].id, JobOutcome.SKIPPED, "switched off")
    job = _job_of(task, now)
    slot_at = _owed_slot(job, now)
    if slot_at is None:
        return JobResult(job.spec.id, JobOutcome.SKIPPED, "nothing owed")
    return run_job(replace(job.spec, kwargs=kwargs or job.spec.kwargs), slot_at=slot_at, trigger=trigger, now=now)


def run_now(task: str, *, now: datetime, trigger: str = "manual", work: Worker | None = None) -> JobResult:
    """Work a job at once in a slot of its own, whatever was done before; for people and for the interval loop.

    `work` stands in for the job's own work, as when a command shows how far it is.
    """
    return run_job(_job_of(task, now).spec, slot_at=now, trigger=trigger, now=now, work=work)


def run_job(spec: JobSpec, *, slot_at: datetime, trigger: str, now: datetime, work: Worker | None = None) -> JobResult:
    """Claim a slot, do the work, settle the ledger; never two runs of a job at once.

    A failure is settled and reported, not raised: what is owed stays in the ledger.

    Args:
        spec: the job.
        slot_at: the slot to work.
        trigger: who woke it, such as `schedule`, `sweep` or `manual`.
        now: aware, UTC.
        work: what to do; None takes the job's own. Given a `guard` like that one, when the job is one of `GUARDED`.
    """
    try:
        with lease(f"job:{spec.id}") as taken:
            return _run_leased(spec, slot_at, trigger, now, _guarded(work or WORKERS[spec.task], spec, taken))
    except LeaseHeld:
        return JobResult(spec.id, JobOutcome.SKIPPED, "already running")


def due_slots(now: datetime) -> list[OwedSlot]:
    """Return at most one owed slot per enabled job: the oldest of a daily job, the newest of an interval job.

    An interval's slot is owed to the sweep only after a grace period, in which the scheduler should have had it.
    """
    owed = []
    for job in scheduled_jobs():
        if not job.is_enabled or job.spec.task not in WORKERS or not is_switched_on(job.spec.task):
            continue
        slot_at = _owed_slot(job, now)
        if slot_at is not None and (job.spec.cron.has_fixed_hour or now - slot_at >= _grace(job.spec)):
            owed.append(OwedSlot(job, slot_at))
    return owed


def run_owed(*, now: datetime, trigger: str = "sweep") -> list[JobResult]:
    """Work every owed slot, one per job; returns what became of each."""
    return [run_job(owed.job.spec, slot_at=owed.slot_at, trigger=trigger, now=now) for owed in due_slots(now)]


def is_switched_on(task: str) -> bool:
    """Say whether the task's own switch lets it act."""
    switch = JOBS[task].enabled_setting
    return bool(getattr(settings, switch)) if switch else True


def _guarded(work: Worker, spec: JobSpec, taken: Lease) -> Worker:
    return partial(work, guard=taken.guard) if spec.task in GUARDED else work


def _run_leased(spec: JobSpec, slot_at: datetime, trigger: str, now: datetime, work: Worker) -> JobResult:
    run = claim_slot(spec, slot_at=slot_at, trigger=trigger, now=now)
    if run is None:
        return JobResult(spec.id, JobOutcome.SKIPPED, "done already, or waiting for its next attempt")
    started = time.monotonic()
    try:
        done = work(now=now, **spec.kwargs)
    except Exception as error:
        logger.exception("job %s, slot %s, attempt %d failed", spec.id, slot_at.isoformat(), run.attempts)
        settle_failed(spec, run, error, now=_since(now, started))
        return JobResult(spec.id, JobOutcome.FAILED, f"{type(error).__name__}: {error}")
    settle_done(run, done, now=_since(now, started))
    return JobResult(spec.id, JobOutcome.DONE, counts=done.counts)


def _since(now: datetime, started: float) -> datetime:
    return now + timedelta(seconds=time.monotonic() - started)


def _job_of(task: str, now: datetime) -> ScheduledJob:
    """Return the task's job as scheduled; without a schedule, by its usual hours."""
    scheduled = next((job for job in scheduled_jobs() if job.spec.task == task), None)
    if scheduled is not None:
        return scheduled
    known = JOBS[task]
    spec = JobSpec(known.id, task, Cron(known.cron), enabled_setting=known.enabled_setting)
    return ScheduledJob(spec, now - timedelta(days=1), is_enabled=True)


def _owed_slot(job: ScheduledJob, now: datetime) -> datetime | None:
    """Return the slot to work: the newest of an interval, of a daily job the oldest that is still open."""
    if not job.spec.cron.has_fixed_hour:
        newest = job.spec.cron.latest_slot(now)
        return newest if _is_owed(job.spec, newest, now) else None
    since_at = max(job.since_at, now - timedelta(days=OWED_DAYS))
    oldest_first = sorted(slot for slot in _slots_since(job.spec.cron, since_at, now))
    return next((slot for slot in oldest_first if _is_owed(job.spec, slot, now)), None)


def _slots_since(cron: Cron, since_at: datetime, now: datetime) -> list[datetime]:
    slots = []
    for slot in cron.slots_before(now):
        if slot < since_at:
            break
        slots.append(slot)
    return slots


def _is_owed(spec: JobSpec, slot_at: datetime, now: datetime) -> bool:
    run = JobRun.objects.filter(job=spec.id, slot_at=slot_at).first()
    return run is None or is_open(spec, run, now)


def _grace(spec: JobSpec) -> timedelta:
    return timedelta(seconds=min(GRACE_SECONDS, spec.cron.shortest_gap_seconds / 2))


def _aggregate(*, now: datetime, lookback_days: int = 30, guard: Guard = nullcontext) -> Work:
    result = BundleAcceptanceAggregator(guard=guard).recompute(lookback_days, now=now)
    counts = {
        "lookback_days": lookback_days,
        "bundles": result.bundles,
        "experiments": result.experiments,
        "cohorts": result.cohorts,
        "tallies": result.tallies,
        "metric_rows": result.metric_rows,
        "duration_seconds": round(result.duration_seconds, 3),
    }
    return Work(counts, result.watermark_at)


def _evaluate(*, now: datetime) -> Work:
    canaries = _watch_canaries(now)  # first, so that what they find holds from this round on
    work = Work(counts_of(evaluate_due(now=now)) | canaries)
    release_slots(now=now)  # again: a process may have died between a transition's commit and its release
    return work


def _watch_canaries(now: datetime) -> dict[str, Any]:
    try:
        found = watch_canaries(now=now)
    except Exception as error:  # the guardrails must be looked at all the same
        logger.exception("the canaries could not be looked at")
        return {"canary_error": f"{type(error).__name__}: {error}"}
    return {} if found == CanaryRound() else {"canary_alarms": found.raised, "canary_alarms_ended": found.ended}


def counts_of(tick: TickResult) -> dict[str, Any]:
    """Return a guardrail round as the ledger keeps it; `errors` only when there were any."""
    counts: dict[str, Any] = {"evaluated": tick.evaluated, "paused": tick.paused, "alerts": tick.alerts}
    return {**counts, "errors": list(tick.errors)} if tick.errors else counts


def _backfill(*, now: datetime, lookback_days: int = 30, guard: Guard = nullcontext) -> Work:
    result = backfill(lookback_days=lookback_days, now=now, guard=guard)
    counts = {"created": result.created, "changed": result.changed, "unchanged": result.unchanged}
    if result.retired:
        counts["phases_retired"] = result.retired
    return Work({"lookback_days": lookback_days, **counts, "documents_pruned": prune_documents()})


def _act_due(*, now: datetime) -> Work:
    return Work(act_due(now=now).done)


def _retire(*, now: datetime) -> Work:
    return Work(retire(rules=RetentionRules.in_force(), now=now).counts())


def _calibrate(*, now: datetime) -> Work:
    return Work(calibration_counts(calibrate(now=now)))


def calibration_counts(run: CalibrationRun) -> dict[str, Any]:
    """Return a calibration as the ledger keeps it; `rejections` is null where too few units gave no verdict."""
    counted = {"units": run.unit_count, "buyers": run.buyer_count, "splits": run.split_count}
    return {**counted, "rejections": run.rejection_count, "is_red": run.is_red}


WORKERS: Mapping[str, Worker] = {
    AGGREGATION: _aggregate,
    GUARDRAILS: _evaluate,
    BACKFILL: _backfill,
    RETENTION: _retire,
    TIMETABLE: _act_due,
    VERIFICATION: verify_aggregates,
    CALIBRATION: _calibrate,
}
"""What each job with slots does. The other jobs keep no slots: the sweep works these, the outbox has its own ledger."""

GUARDED = frozenset({AGGREGATION, BACKFILL, VERIFICATION})
"""Jobs that write for long: at each commit they ask whether the lease is still theirs."""
