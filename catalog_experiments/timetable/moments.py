"""Scheduled starts and ends: checked again under the lock, made through the lifecycle, told when they cannot be."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from catalog_experiments.audit import record_event
from catalog_experiments.lifecycle import PreflightFailed, complete, publish
from catalog_experiments.locking import ExperimentNotFound, locked_experiment, save_change
from catalog_experiments.models import Experiment, ExperimentStatus, PhaseOrigin
from catalog_experiments.preflight import failures, run_preflight, warnings
from catalog_experiments.shop_time import both_clocks
from notifications.outbox import AlertDraft, enqueue

ACTOR = "system:schedule"
ON_TIME = timedelta(minutes=10)
_LIVE = (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED)


def due_starts(now: datetime) -> list[UUID]:
    """Return the drafts whose scheduled start has come and was not refused before, the earliest first."""
    due = Experiment.objects.filter(
        status=ExperimentStatus.DRAFT, scheduled_start_at__lte=now, schedule_refusal=""
    ).order_by("scheduled_start_at", "pk")
    return list(due.values_list("pk", flat=True))


def due_ends(now: datetime) -> list[UUID]:
    """Return the running and paused experiments whose scheduled end has come and was not told before."""
    due = Experiment.objects.filter(status__in=_LIVE, scheduled_end_at__lte=now, schedule_refusal="")
    published = due.filter(current_phase__origin=PhaseOrigin.PUBLISHED)
    return list(published.order_by("scheduled_end_at", "pk").values_list("pk", flat=True))


def start_due(experiment_id: UUID, now: datetime) -> str:
    """Publish a draft at its scheduled start; where the checklist fails, leave the draft, say why, and tell once."""
    try:
        with transaction.atomic():
            experiment = _locked(experiment_id)
            if experiment is None or (start_at := _owed_start(experiment, now)) is None:
                return ""
            if experiment.scheduled_end_at is not None and experiment.scheduled_end_at <= now:
                return _refuse(experiment, "Its scheduled end passed before it could start.", now)
            reason = f"Scheduled start, {_told(start_at, now)}.{_warned(experiment, now)}"
            publish(experiment_id, actor=ACTOR, now=now, reason=reason)
    except PreflightFailed as refusal:
        sentences = " ".join(check.sentence for check in failures(refusal.checks))
        return _refuse_draft(experiment_id, f"The launch checklist has failures: {sentences}", now)
    return "started"


def end_due(experiment_id: UUID, now: datetime) -> str:
    """Complete a running experiment at its scheduled end, the conclusion not stated; tell of a paused one."""
    with transaction.atomic():
        experiment = _locked(experiment_id)
        if experiment is None or experiment.status not in _LIVE or experiment.schedule_refusal:
            return ""
        end_at = experiment.scheduled_end_at
        if end_at is None or end_at > now:
            return ""
        if not experiment.is_running:
            return _refuse(experiment, "Its scheduled end passed while it was paused.", now)
        complete(experiment_id, actor=ACTOR, now=now, reason=f"Scheduled end, {_told(end_at, now)}.")
    return "ended"


def _locked(experiment_id: UUID) -> Experiment | None:
    try:
        return locked_experiment(experiment_id)
    except ExperimentNotFound:
        return None  # a draft that was deleted meanwhile


def _owed_start(experiment: Experiment, now: datetime) -> datetime | None:
    start_at = experiment.scheduled_start_at
    is_owed = experiment.status == ExperimentStatus.DRAFT and not experiment.schedule_refusal
    return start_at if is_owed and start_at is not None and start_at <= now else None


def _told(moment: datetime, now: datetime) -> str:
    planned = both_clocks(moment, _zone())
    late = now - moment
    return planned if late <= ON_TIME else f"{planned}, made up for {late / timedelta(hours=1):,.1f} h later"


def _warned(experiment: Experiment, now: datetime) -> str:
    found = [check.sentence for check in warnings(run_preflight(experiment, now=now))]
    return f" Warnings of the checklist: {' '.join(found)}" if found else ""


def _refuse_draft(experiment_id: UUID, why: str, now: datetime) -> str:
    # In a transaction of its own: the refused publish has rolled back the one in which the draft was found due.
    with transaction.atomic():
        experiment = _locked(experiment_id)
        if experiment is None or _owed_start(experiment, now) is None:
            return ""
        return _refuse(experiment, why, now)


def _refuse(experiment: Experiment, why: str, now: datetime) -> str:
    experiment.schedule_refusal = why
    save_change(experiment, "schedule_refusal")
    after = {"schedule_refusal": why}
    record_event(experiment, actor=ACTOR, action="schedule_refused", reason=why, before={}, after=after, now=now)
    enqueue(_refusal_draft(experiment, why, now), now=now)
    return "refused"


def _refusal_draft(experiment: Experiment, why: str, now: datetime) -> AlertDraft:
    is_draft = experiment.status == ExperimentStatus.DRAFT
    planned = experiment.scheduled_start_at if is_draft else experiment.scheduled_end_at
    steps = ("did not start", "Put right what fails, then publish it or schedule a new start.")
    if not is_draft:
        steps = ("did not end", "Complete it, or set a later end and resume it.")
    return AlertDraft(
        kind="schedule_refused",
        severity="warning",
        subject=f"{experiment.slug} {steps[0]} as scheduled",
        dedupe_key=f"schedule:{experiment.pk}:{experiment.lock_version}",
        summary=f"{why} Nothing was changed for shoppers.",
        occurred_at=now,
        facts={
            "lines": [
                {"label": "Scheduled for", "value": both_clocks(planned or now, _zone())},
                {"label": "Owner", "value": str(experiment.owner or "nobody")},
            ],
            "links": [{"label": "Open the experiment", "url": experiment.page_url}],
            "next_step": steps[1],
            "data": {"experiment": experiment.slug, "scheduled_at": (planned or now).isoformat()},
        },
    )


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.CATALOG_SHOP_TIME_ZONE)
