"""The only writer of alerts: they are stored in the caller's transaction, with a row for every target they must reach.

Sending is somebody else's work (`delivery`); this module only wakes a worker after the commit, and may fail at that.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from celery import current_app
from django.conf import settings
from django.db import transaction

from notifications.models import SUBJECT_LENGTH, Alert, Delivery
from notifications.targets import configured_targets

logger = logging.getLogger(__name__)

HORIZON = timedelta(hours=72)
DELIVERY_TASK = "notifications.tasks.deliver_due_alerts"
BREAKER_SECONDS = 30.0
# A request that has just paused an experiment must not wait for a broker that is away.
ASK_ONCE = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}


@dataclass(frozen=True)
class AlertDraft:
    """What happened, in words and numbers, before it is stored.

    `facts` is JSON: "lines" `[{"label", "value"}]`, optional "table" `{"caption", "columns", "rows"}`, "links"
    `[{"label", "url"}]` (the first is the main one), "next_step" and "note" (sentences), and raw numbers under "data".
    `subject` and `summary` are plain text; no channel trusts them. One alert exists per `dedupe_key`, for ever.
    """

    kind: str
    severity: Literal["critical", "warning", "info"]
    subject: str
    dedupe_key: str
    summary: str
    occurred_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


def enqueue(draft: AlertDraft, *, now: datetime) -> Alert | None:
    """Store the alert and one delivery per configured target, and wake a worker after the commit.

    Writes in the caller's transaction: rolled back, nothing was said. Two callers with one dedupe key store one alert;
    the second waits for the first's commit. Never fails for want of a broker.

    Returns:
        The alert, or None when the dedupe key exists already.
    """
    with transaction.atomic():
        alert = _alert_from(draft, now)
        Alert.objects.bulk_create([alert], ignore_conflicts=True)
        if not Alert.objects.filter(pk=alert.pk).exists():
            return None
        deliveries = _deliveries_of(alert, now)
        if not deliveries:
            logger.warning("alert %s has no target to go to: none is configured", alert.reference)
        Delivery.objects.bulk_create(deliveries)
        transaction.on_commit(nudge, robust=True)
    return alert


def draft_test_alert(*, actor: str, now: datetime) -> AlertDraft:
    """Return the alert of a fire-drill, a new one at each call; `actor` is named in it."""
    return AlertDraft(
        kind="test",
        severity="info",
        subject="Test alert: smplat can reach you",
        dedupe_key=f"test:{uuid4()}",
        summary="Somebody asked for this test. No experiment changed, and shoppers notice nothing.",
        occurred_at=now,
        facts={
            "lines": [{"label": "Asked for by", "value": actor.partition(":")[2] or actor}],
            "links": [{"label": "Open alerts", "url": f"{settings.API_BASE_URL}/admin/notifications/alert/"}],
            "next_step": "Nothing to do: that you can read this is the result.",
        },
    )


def resolve(dedupe_key: str, *, now: datetime) -> bool:
    """Note that the condition behind an alert is over; False when it was noted before or no such alert exists."""
    return Alert.objects.filter(dedupe_key=dedupe_key, resolved_at=None).update(resolved_at=now) == 1


def acknowledge(alert: Alert, *, actor: str, now: datetime, note: str = "") -> bool:
    """Note that somebody has seen the alert; False when somebody had before, whose name then stays."""
    changed = Alert.objects.filter(pk=alert.pk, acknowledged_at=None).update(
        acknowledged_at=now, acknowledged_by=actor, acknowledgement_note=note
    )
    return changed == 1


class _Breaker:
    """Remembers for a short while that the broker is away, so that not every request waits for it."""

    open_until = 0.0

    def is_open(self) -> bool:
        return time.monotonic() < self.open_until

    def trip(self) -> None:
        self.open_until = time.monotonic() + BREAKER_SECONDS


_breaker = _Breaker()


def nudge() -> bool:
    """Ask a worker to deliver now; False when the broker did not take it, which delays alerts until the next sweep."""
    if _breaker.is_open():
        return False
    try:
        with current_app.connection_for_write() as connection:
            connection.transport_options = {**(connection.transport_options or {}), **ASK_ONCE}
            current_app.send_task(DELIVERY_TASK, queue="control", retry=False, connection=connection)
    except Exception as error:  # whatever the broker's client raises, the pause that was just committed stands
        _breaker.trip()
        logger.warning("no worker could be woken for alerts (%s); the sweeper will send them", type(error).__name__)
        return False
    return True


def _alert_from(draft: AlertDraft, now: datetime) -> Alert:
    return Alert(
        kind=draft.kind,
        severity=draft.severity,
        subject=_storable(draft.subject)[:SUBJECT_LENGTH],
        summary=_storable(draft.summary),
        facts=_storable(dict(draft.facts)),
        dedupe_key=draft.dedupe_key,
        occurred_at=draft.occurred_at,
        created_at=now,
    )


def _deliveries_of(alert: Alert, now: datetime) -> list[Delivery]:
    return [
        Delivery(
            alert=alert,
            channel=target.channel,
            target=target.name,
            recipient=target.recipient,
            created_at=now,
            next_attempt_at=now,
            give_up_at=now + HORIZON,
        )
        for target in configured_targets()
    ]


def _storable(value: Any) -> Any:
    """Return the value without what PostgreSQL refuses: a NaN in the numbers must not roll back a pause."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(entry) for entry in value]
    return value
