"""A red A/A comparison, told and ended: row, audit event and alert commit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from catalog_experiments.audit import record_event
from catalog_experiments.lifecycle import ReasonRequired
from catalog_experiments.models import CalibrationRun, CanaryAlarm, Phase
from catalog_experiments.stats.canary import RED_REJECTIONS
from notifications.outbox import AlertDraft, enqueue

ACTOR = "system:canary"
RED = "The A/A canary is red: the measuring itself may be wrong"
HELD = "Ordinary pauses and ship verdicts of every experiment wait; an outage does not."
NEXT_STEP = (
    "Look for what treats equal visitors differently: assignment, caches, exposures that get lost, orders counted "
    "twice. Then acknowledge with a reason; or a new phase of the canary ends it after 7 clean days."
)


class AlarmIsOver(RuntimeError):
    """Somebody, or a clean phase, ended the alarm already; nothing was changed."""


def raise_for_phase(phase: Phase, finding: str, evidence: Mapping[str, Any], *, now: datetime) -> CanaryAlarm | None:
    """Raise the alarm of a canary's phase; None when it was raised before, acknowledged or not."""
    with transaction.atomic():
        alarm, is_new = CanaryAlarm.objects.get_or_create(
            phase=phase, defaults={"raised_at": now, "finding": finding, "evidence": dict(evidence)}
        )
        if is_new:
            _tell_raised(alarm, now)
    return alarm if is_new else None


def raise_for_calibration(run: CalibrationRun, *, now: datetime) -> CanaryAlarm | None:
    """Raise the alarm of a red calibration; None while that of an earlier one stands."""
    if CanaryAlarm.objects.standing().filter(calibration__isnull=False).exists():
        return None
    finding = (
        f"{run.rejection_count} of {run.split_count} random splits of {run.unit_count:,} past visitors differ in "
        f"conversion; fewer than {RED_REJECTIONS} are chance."
    )
    evidence = {
        name: getattr(run, name) for name in ("unit_count", "buyer_count", "split_count", "rejection_count", "seed")
    }
    alarm = CanaryAlarm.objects.create(calibration=run, raised_at=now, finding=finding, evidence=evidence)
    _tell_raised(alarm, now)
    return alarm


def acknowledge(alarm_id: UUID, *, actor: str, reason: str, now: datetime) -> CanaryAlarm:
    """End an alarm as a person does who has looked into it.

    Raises:
        CanaryAlarm.DoesNotExist: there is none.
        ReasonRequired: no reason is given.
        AlarmIsOver: it stands no more.
    """
    if not reason.strip():
        raise ReasonRequired("The measuring was in doubt: say why it may be trusted again.")
    with transaction.atomic():
        alarm = CanaryAlarm.objects.select_for_update(of=("self",)).get(pk=alarm_id)
        if alarm.ended_at is not None:
            raise AlarmIsOver(f"It was ended at {alarm.ended_at:%Y-%m-%d %H:%M} UTC by {alarm.ended_by}.")
        _end(alarm, actor=actor, reason=reason.strip(), now=now)
    return alarm


def end_by_clean_phase(phase: Phase, clean_days: int, *, now: datetime) -> Sequence[CanaryAlarm]:
    """End the alarms that a later, clean phase answers: those of calibrations, and of the same canary's phases before.

    Only alarms raised before the phase opened are answered by it; a phase that was red itself answers nothing.
    """
    if CanaryAlarm.objects.filter(phase=phase).exists():
        return []
    with transaction.atomic():
        standing = CanaryAlarm.objects.standing().select_for_update(of=("self",)).order_by("pk")
        before = standing.filter(raised_at__lte=phase.opened_at).select_related("phase")
        answered = [own for own in before if own.phase is None or own.phase.experiment_id == phase.experiment_id]
        for alarm in answered:
            _end(alarm, actor=ACTOR, reason=f"{phase} has had {clean_days} clean days.", now=now)
    return answered


def page_of(alarm: CanaryAlarm) -> str:
    """Return the address where the alarm is read and acknowledged."""
    return f"{settings.API_BASE_URL}/admin/merchandising/bundles/canary-alarms/{alarm.pk}"


def _tell_raised(alarm: CanaryAlarm, now: datetime) -> None:
    after = {"finding": alarm.finding, **alarm.evidence}
    record_event(alarm, actor=ACTOR, action="canary_red", reason=alarm.finding, before={}, after=after, now=now)
    enqueue(
        AlertDraft(
            kind="canary_red",
            severity="critical",
            subject=RED,
            dedupe_key=f"canary:{alarm.pk}",
            summary=f"{alarm.finding} {HELD}",
            occurred_at=now,
            facts=_facts(alarm, NEXT_STEP),
        ),
        now=now,
    )


def _end(alarm: CanaryAlarm, *, actor: str, reason: str, now: datetime) -> None:
    alarm.ended_at, alarm.ended_by, alarm.end_reason = max(now, alarm.raised_at), actor, reason
    alarm.save(update_fields=["ended_at", "ended_by", "end_reason"])
    before, after = {"is_red": True}, {"is_red": False}
    action = "canary_clean" if actor == ACTOR else "canary_acknowledged"
    record_event(alarm, actor=actor, action=action, reason=reason, before=before, after=after, now=now)
    others = CanaryAlarm.objects.standing().count()
    told = f"{others} more alarm{'s' if others > 1 else ''} stand." if others else "Guardrails act as usual."
    enqueue(
        AlertDraft(
            kind="canary_over",
            severity="info",
            subject="The A/A canary's alarm is over",
            dedupe_key=f"canary-over:{alarm.pk}",
            summary=f"It was: {alarm.finding} Ended by {actor}: {reason} {told}",
            occurred_at=now,
            facts=_facts(alarm, "Acknowledge the others too." if others else "Nothing to do."),
        ),
        now=now,
    )


def _facts(alarm: CanaryAlarm, next_step: str) -> dict[str, Any]:
    links = [{"label": "Read and acknowledge", "url": page_of(alarm)}]
    data: dict[str, Any] = {"alarm": str(alarm.pk), **alarm.evidence}
    if alarm.phase is not None:
        links.append({"label": "Open the canary", "url": alarm.phase.experiment.page_url})
        data |= {"experiment": alarm.phase.experiment.slug, "phase": alarm.phase.number}
    return {
        "lines": [
            {"label": "Found", "value": alarm.finding},
            {"label": "Since", "value": f"{alarm.raised_at:%Y-%m-%d %H:%M} UTC"},
        ],
        "links": links,
        "next_step": next_step,
        "data": data,
    }
