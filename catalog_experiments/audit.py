"""Who did what, before and after, and why: written in the transaction of the change itself.

Every change on the walk that a person or a job makes leaves one event here; the database refuses to alter it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from catalog_experiments.models import Bundle, CanaryAlarm, ExclusionGroup, Experiment, ExperimentEvent, Holdout

Subject = Experiment | Bundle | ExclusionGroup | Holdout | CanaryAlarm
"""What an event can be about."""

_SUBJECT_LENGTH = 150


def record_event(
    subject: Subject,
    *,
    actor: str,
    action: str,
    reason: str = "",
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: datetime,
) -> ExperimentEvent:
    """Append one event to a subject's timeline, inside the caller's transaction.

    Args:
        subject: what changed; a draft about to be deleted still counts.
        actor: "user:<username>", "key:<name>" or "system:<job>".
        action: the verb, such as "publish" or "update".
        reason: why, in the words of the person; may be empty.
        before: what changed, as it was; JSON values only.
        after: the same fields as they are now.
        now: when, aware and in UTC.
    """
    timeline_id, name = _timeline_of(subject)
    return ExperimentEvent.objects.create(
        experiment_id=timeline_id,
        experiment_slug=name[:_SUBJECT_LENGTH],
        occurred_at=now,
        actor=actor,
        action=action,
        reason=reason,
        before=dict(before),
        after=dict(after),
    )


def record_erasure_event(request_id: UUID, *, actor: str, counts: Mapping[str, Any], now: datetime) -> ExperimentEvent:
    """Append one event about a person who was forgotten: how much went, nothing of whose; it reads "person:"."""
    return ExperimentEvent.objects.create(
        experiment_id=request_id,
        experiment_slug="person:",
        occurred_at=now,
        actor=actor,
        action="erase",
        before={},
        after=dict(counts),
    )


def _timeline_of(subject: Subject) -> tuple[UUID, str]:
    """Return whose timeline tells of a subject, and the name it has there; the colon is in no experiment's slug."""
    match subject:
        case Experiment():
            return subject.pk, subject.slug
        case Bundle():
            return subject.pk, f"bundle:{subject.bundle_slug}"
        case ExclusionGroup():
            return subject.pk, f"group:{subject.slug}"
        case Holdout():
            return subject.pk, f"holdout:{subject.group.slug if subject.group else ''}"
        case CanaryAlarm():
            return _timeline_of(subject.phase.experiment) if subject.phase else (subject.pk, "calibration:")


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what differs between two descriptions of one thing: the old values and the new ones, by field.

    >>> difference({"a": 1, "b": 2}, {"a": 1, "b": 3})
    ({'b': 2}, {'b': 3})
    """
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}
