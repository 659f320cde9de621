"""The ledger of runs: one row per job and slot, so that however many schedulers knock, a slot is worked once.

A run that failed is tried again when its wait is over; one whose process died is taken over by the next that holds the
job's lease.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from catalog_experiments.models import JobOutcome, JobRun
from catalog_experiments.scheduling.schedule import JobSpec
from notifications.outbox import AlertDraft, enqueue, resolve

MOST_DEATHS = 5
"""Attempts after which a run that keeps killing its process is given up."""

RETRY_AT = "next_attempt_at"
LONGEST_ERROR = 2_000


@dataclass(frozen=True, slots=True)
class Work:
    """What a run did: counts for the ledger, and up to which moment facts were counted; None where none were."""

    counts: Mapping[str, Any] = field(default_factory=dict)
    watermark_at: datetime | None = None


def claim_slot(spec: JobSpec, *, slot_at: datetime, trigger: str, now: datetime) -> JobRun | None:
    """Claim a slot of a job; call it with the job's lease held. None when there is nothing to do.

    There is nothing to do when the slot is done or given up, or when its next attempt is not due.
    """
    run = JobRun(job=spec.id, slot_at=slot_at, trigger=trigger, attempts=1, started_at=now)
    JobRun.objects.bulk_create([run], ignore_conflicts=True)
    existing = JobRun.objects.get(job=spec.id, slot_at=slot_at)
    if existing.pk == run.pk:
        _close_abandoned(spec, slot_at, now)
        return run
    return _claim_again(spec, existing, now) if is_open(spec, existing, now) else None


def is_open(spec: JobSpec, run: JobRun, now: datetime) -> bool:
    """Say whether a slot that was tried before may be tried now."""
    if run.outcome == JobOutcome.RUNNING:
        return True
    if run.outcome != JobOutcome.FAILED or run.attempts >= spec.retry.max_attempts:
        return False
    retry_at = run.counts.get(RETRY_AT)
    return retry_at is None or datetime.fromisoformat(retry_at) <= now


def settle_done(run: JobRun, work: Work, *, now: datetime) -> bool:
    """Note that a run succeeded; False when another attempt took over meanwhile."""
    settled = _settle(
        run,
        outcome=JobOutcome.DONE,
        finished_at=now,
        counts=dict(work.counts),
        error="",
        watermark_at=work.watermark_at,
    )
    if settled:
        resolve(_dead_key(run), now=now)
    return settled


def settle_failed(spec: JobSpec, run: JobRun, error: BaseException, *, now: datetime) -> bool:
    """Note that an attempt failed: wait and try again, or give up with one alert. False when another took over."""
    text = f"{type(error).__name__}: {error}"[:LONGEST_ERROR].replace("\0", "")
    if run.attempts >= spec.retry.max_attempts:
        return _give_up(run, text, now)
    # The jitter spreads retries of many jobs; nothing that is measured depends on it.
    delay = spec.retry.delay_seconds(run.attempts, random.random())  # noqa: S311
    counts = {RETRY_AT: (now + timedelta(seconds=delay)).isoformat()}
    return _settle(run, outcome=JobOutcome.FAILED, finished_at=now, counts=counts, error=text)


def _claim_again(spec: JobSpec, run: JobRun, now: datetime) -> JobRun | None:
    # Holding the lease, a run still marked as running belongs to a process that died.
    if run.outcome == JobOutcome.RUNNING and run.attempts >= max(MOST_DEATHS, spec.retry.max_attempts):
        _give_up(run, f"the process ended during each of {run.attempts} attempts", now)
        return None
    taken = JobRun.objects.filter(pk=run.pk, attempts=run.attempts, outcome=run.outcome).update(
        attempts=F("attempts") + 1, outcome=JobOutcome.RUNNING, started_at=now, finished_at=None, counts={}
    )
    run.refresh_from_db()
    return run if taken else None


def _close_abandoned(spec: JobSpec, slot_at: datetime, now: datetime) -> None:
    JobRun.objects.filter(job=spec.id, outcome=JobOutcome.RUNNING, slot_at__lt=slot_at).update(
        outcome=JobOutcome.FAILED, finished_at=now, error="the process ended before the run did; a later slot took over"
    )


def _settle(run: JobRun, **changes: Any) -> bool:
    mine = JobRun.objects.filter(pk=run.pk, attempts=run.attempts, outcome=JobOutcome.RUNNING)
    return mine.update(**changes) == 1


def _give_up(run: JobRun, text: str, now: datetime) -> bool:
    with transaction.atomic():
        settled = _settle(run, outcome=JobOutcome.DEAD, finished_at=now, error=text)
        if settled:
            enqueue(_dead_draft(run, text, now), now=now)
    return settled


def _dead_key(run: JobRun) -> str:
    # One alert an hour and job: a job that fails in each slot is one fact, not twelve.
    return f"job:{run.job}:{run.slot_at:%Y-%m-%dT%H}"


def _dead_draft(run: JobRun, text: str, now: datetime) -> AlertDraft:
    return AlertDraft(
        kind="job_failed",
        severity="critical",
        subject=f"Job {run.job} was given up",
        dedupe_key=_dead_key(run),
        summary=f"The slot of {run.slot_at:%Y-%m-%d %H:%M} UTC failed {run.attempts} times.",
        occurred_at=now,
        facts={
            "lines": [{"label": "Attempts", "value": str(run.attempts)}, {"label": "Error", "value": text[:500]}],
            "links": [
                {"label": "Job runs", "url": f"{settings.API_BASE_URL}/admin/catalog_experiments/jobrun/?q={run.job}"}
            ],
            "next_step": "Read the error and the log of the worker. The next slot comes by itself.",
            "data": {"job": run.job, "slot_at": run.slot_at.isoformat(), "attempts": run.attempts},
        },
    )
