"""Experiments that cannot be judged: how often in a row, and an alert when it is no accident any more."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DatabaseError, transaction

from catalog_experiments.models import Experiment
from notifications.outbox import AlertDraft, enqueue

logger = logging.getLogger(__name__)

STREAK_KEY = "evaluation_failures"
ALERTED_FROM = 3


def record_failure(experiment: Experiment, error: Exception, *, now: datetime) -> None:
    """Count one more failure in a row; from the third on, one alert a day. Never raises a database error itself."""
    try:
        with transaction.atomic():
            for locked in Experiment.objects.locked([experiment.pk]):
                streak = int(locked.metadata.get(STREAK_KEY, 0)) + 1
                _write(locked, {**locked.metadata, STREAK_KEY: streak})
                if streak >= ALERTED_FROM:
                    enqueue(_draft(experiment, error, streak, now), now=now)
    except DatabaseError:
        logger.exception("the failure of %s could not be recorded", experiment.slug)


def clear_failures(experiment: Experiment) -> None:
    """Forget earlier failures after a judgement; writes nothing when there were none as `experiment` was read.

    Never raises a database error: the next round tries again.
    """
    if STREAK_KEY not in experiment.metadata:
        return
    try:
        with transaction.atomic():
            for locked in Experiment.objects.locked([experiment.pk]):
                _write(locked, {key: value for key, value in locked.metadata.items() if key != STREAK_KEY})
    except DatabaseError:
        logger.exception("the earlier failures of %s could not be cleared", experiment.slug)


def _write(experiment: Experiment, metadata: dict[str, object]) -> None:
    # The lock version stays: this is no change of the experiment that an editor would have to know of.
    Experiment.objects.filter(pk=experiment.pk).update(metadata=metadata)


def _draft(experiment: Experiment, error: Exception, streak: int, now: datetime) -> AlertDraft:
    return AlertDraft(
        kind="guardrail_failing",
        severity="critical",
        subject=f"{experiment.slug}: its guardrails cannot be judged",
        dedupe_key=f"evaluation-failure:{experiment.pk}:{now.date()}",
        summary="This experiment runs without protection until the cause is gone.",
        occurred_at=now,
        facts={
            "lines": [
                {"label": "Failures in a row", "value": str(streak)},
                {"label": "Error", "value": f"{type(error).__name__}: {error}"[:500]},
            ],
            "links": [{"label": "Open the experiment", "url": experiment.page_url}],
            "next_step": "Correct the guardrail settings, or pause the experiment by hand meanwhile.",
            "data": {"experiment": experiment.slug, "streak": streak},
        },
    )
