"""Who did what, before and after, and why: written in the transaction of the change itself.

Every change on the walk that a person or a job makes leaves one event here; the database refuses to alter it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from catalog_experiments.models import Bundle, CanaryAlarm, ExclusionGroup, Experiment, ExperimentEvent, Holdout

_SLUG_LENGTH = 150


def record_event(
    experiment: Experiment,
    *,
    actor: str,
    action: str,
    reason: str = "",
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: datetime,
) -> ExperimentEvent:
    """Append one event to an experiment's timeline, inside the caller's transaction.

    Args:
        experiment: the experiment that changed; a draft about to be deleted still counts.
        actor: "user:<username>", "key:<name>" or "system:<job>".
        action: the verb, such as "publish" or "update".
        reason: why, in the words of the person; may be empty.
        before: what changed, as it was; JSON values only.
        after: the same fields as they are now.
        now: when, aware and in UTC.
    """
    return ExperimentEvent.objects.create(
        experiment_id=experiment.pk,
        experiment_slug=experiment.slug,
        occurred_at=now,
        actor=actor,
        action=action,
        reason=reason,
        before=dict(before),
        after=dict(after),
    )


def record_bundle_event(
    bundle: Bundle, *, actor: str, action: str, before: Mapping[str, Any], after: Mapping[str, Any], now: datetime
) -> ExperimentEvent:
    """Append one event about a bundle; its subject reads "bundle:<slug>", which no experiment's slug can be."""
    return ExperimentEvent.objects.create(
        experiment_id=bundle.pk,
        experiment_slug=f"bundle:{bundle.bundle_slug}"[:_SLUG_LENGTH],
        occurred_at=now,
        actor=actor,
        action=action,
        before=dict(before),
        after=dict(after),
    )


def record_exclusion_event(
    subject: ExclusionGroup | Holdout,
    *,
    actor: str,
    action: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: datetime,
) -> ExperimentEvent:
    """Append one event about a group or a holdout; it reads "group:<slug>", "holdout:<slug>" or "holdout:" (of all)."""
    kind, group = ("holdout", subject.group) if isinstance(subject, Holdout) else ("group", subject)
    return ExperimentEvent.objects.create(
        experiment_id=subject.pk,
        experiment_slug=f"{kind}:{group.slug if group else ''}"[:_SLUG_LENGTH],
        occurred_at=now,
        actor=actor,
        action=action,
        before=dict(before),
        after=dict(after),
    )


def record_canary_event(
    alarm: CanaryAlarm,
    *,
    actor: str,
    action: str,
    reason: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: datetime,
) -> ExperimentEvent:
    """Append one event about an A/A alarm: to its canary's timeline, or under "calibration:" where it has none."""
    experiment = alarm.phase.experiment if alarm.phase else None
    return ExperimentEvent.objects.create(
        experiment_id=experiment.pk if experiment else alarm.pk,
        experiment_slug=experiment.slug if experiment else "calibration:",
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


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what differs between two descriptions of one thing: the old values and the new ones, by field.

    >>> difference({"a": 1, "b": 2}, {"a": 1, "b": 3})
    ({'b': 2}, {'b': 3})
    """
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}
