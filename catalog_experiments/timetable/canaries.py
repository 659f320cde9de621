"""A canary's phases last 28 days: then the next one begins by itself, with a salt of its own, counted from zero."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from catalog_experiments.lifecycle import open_new_phase
from catalog_experiments.locking import locked_experiment
from catalog_experiments.models import Experiment, PhaseOrigin
from catalog_experiments.timetable.moments import ACTOR

PHASE_LASTS = timedelta(days=28)
REASON = "canary renewed"


def due_canaries(now: datetime) -> list[UUID]:
    """Return the running canaries whose phase has had its 28 days."""
    due = Experiment.objects.running().filter(
        is_canary=True,
        current_phase__origin=PhaseOrigin.PUBLISHED,
        current_phase__opened_at__lte=now - PHASE_LASTS,
    )
    return list(due.order_by("pk").values_list("pk", flat=True))


def renew_canary(experiment_id: UUID, now: datetime) -> str:
    """Open a canary's next phase, through the lifecycle as a person would."""
    with transaction.atomic():
        experiment = locked_experiment(experiment_id)
        phase = experiment.current_phase
        if not experiment.is_running or phase is None or phase.opened_at > now - PHASE_LASTS:
            return ""
        open_new_phase(experiment_id, actor=ACTOR, now=now, reason=REASON)
    return "canary_renewed"
