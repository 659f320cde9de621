"""Celery's way in. The broker is a doorbell: the ledger says what is owed, and the sweeper comes by anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import shared_task
from django.utils import timezone

from catalog_experiments.models import JobOutcome
from catalog_experiments.scheduling import (
    AGGREGATION,
    ALIASES,
    BACKFILL,
    CALIBRATION,
    GUARDRAILS,
    RETENTION,
    SWEEP,
    TIMETABLE,
    VERIFICATION,
    JobResult,
    run_owed,
    run_task,
)

Answer = dict[str, Any]


def run_aggregation(lookback_days: int = 30) -> Answer:
    """Recompute the numbers for the slot that is owed."""
    return _answer("processed", run_task(AGGREGATION, now=timezone.now(), kwargs={"lookback_days": lookback_days}))


def run_guardrail_evaluation() -> Answer:
    """Judge all running experiments for the slot that is owed."""
    return _answer("evaluated", run_task(GUARDRAILS, now=timezone.now()))


def run_backfill(lookback_days: int = 30) -> Answer:
    """Reconstruct past days for the oldest slot that is owed."""
    return _answer("processed", run_task(BACKFILL, now=timezone.now(), kwargs={"lookback_days": lookback_days}))


def run_timetable() -> Answer:
    """Make the scheduled starts and ends that are due, and the next steps of ramps."""
    return _answer("processed", run_task(TIMETABLE, now=timezone.now()))


def run_verification() -> Answer:
    """Count everything anew from all facts, for the oldest slot that is owed."""
    return _answer("processed", run_task(VERIFICATION, now=timezone.now()))


def run_retention() -> Answer:
    """Let the facts go that have had their time, for the oldest slot that is owed."""
    return _answer("processed", run_task(RETENTION, now=timezone.now()))


def run_calibration() -> Answer:
    """Split past visitors at random 200 times, for the oldest slot that is owed."""
    return _answer("processed", run_task(CALIBRATION, now=timezone.now()))


def sweep_owed_slots() -> Answer:
    """Work every slot that nobody worked in time."""
    return {"worked": [result.job for result in run_owed(now=timezone.now()) if not result.is_skipped]}


def _answer(unit: str, result: JobResult) -> Answer:
    if result.outcome == JobOutcome.DONE:
        return {unit: 1, **result.counts}
    ending = "skipped" if result.is_skipped else "failed"
    return {unit: 0, ending: True, "reason": result.reason}


FUNCTIONS: dict[str, Callable[..., Answer]] = {
    AGGREGATION: run_aggregation,
    GUARDRAILS: run_guardrail_evaluation,
    BACKFILL: run_backfill,
    RETENTION: run_retention,
    TIMETABLE: run_timetable,
    VERIFICATION: run_verification,
    CALIBRATION: run_calibration,
    SWEEP: sweep_owed_slots,
}
TASKS = {name: shared_task(name=name)(function) for name, function in FUNCTIONS.items()}
TASKS |= {alias: shared_task(name=alias)(FUNCTIONS[task]) for alias, task in ALIASES.items()}
