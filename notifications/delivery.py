"""The way out of the outbox: claim what is due, send it with no transaction open, settle it, back off.

A message is sent at least once. It is sent twice only when the sender dies between the peer's answer and our commit;
the lease of the dead sender then ends and the message is claimed again.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import transaction
from django.db.models import Case, F, IntegerField, Value, When

from notifications.channels import SECONDS_BETWEEN
from notifications.models import Delivery, DeliveryAttempt, DeliveryState, Severity, TargetHealth
from notifications.outbox import HORIZON, nudge
from notifications.outcomes import (
    FAILURES_THAT_OPEN,
    Again,
    GivenUp,
    History,
    Outcome,
    OutcomeClass,
    Sent,
    Step,
    next_step,
    rest_seconds,
)
from notifications.sending import SEND_WINDOW, Attempt, Batch, Clock, send_batches

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
_draw = secrets.SystemRandom().random
MOST_URGENT_FIRST = Case(
    *(When(alert__severity=severity, then=Value(rank)) for rank, severity in enumerate(Severity.values)),
    output_field=IntegerField(),
)


@dataclass(frozen=True)
class DeliveryResult:
    """What one round did: messages sent, put off, and given up."""

    sent: int = 0
    retried: int = 0
    dead: int = 0


def deliver_due(*, now: datetime, limit: int = 20, draw: Callable[[], float] = _draw) -> DeliveryResult:
    """Send what is due, at most `limit` messages a target, every target at the same time.

    Safe to run in any number of processes: one target has one sender at a time. Must be called outside a transaction.
    `draw` gives numbers in [0, 1) that spread the waits.
    """
    clock, counts = Clock(now), Counter[type[Step | None]]()
    gone: dict[str, Outcome] = {}
    batches = [batch for target in _due_targets(now) if (batch := claim(target, now=clock.now(), limit=limit))]
    for attempt in send_batches(batches, clock):
        if attempt.outcome is None:
            _release(attempt)
            continue
        counts[type(settle(attempt, draw=draw))] += 1
        if attempt.outcome.is_target_wide and attempt.outcome.outcome_class is OutcomeClass.GONE:
            gone[attempt.batch.target] = attempt.outcome
    counts[GivenUp] += sum(_give_up_waiting(target, outcome, clock.now()) for target, outcome in gone.items())
    return DeliveryResult(sent=counts[Sent], retried=counts[Again], dead=counts[GivenUp])


def claim(target: str, *, now: datetime, limit: int) -> Batch | None:
    """Take the most urgent due messages of a target for one lease; None when there is nothing to take.

    A target that rests or has a living sender is left alone; one that keeps failing gets a single message as a probe.
    """
    with transaction.atomic(durable=True):
        health = _locked_health(target)
        if health is None or _is_resting(health, now) or _has_sender(target, now):
            return None
        most = 1 if health.consecutive_failures >= FAILURES_THAT_OPEN else limit
        rows = _locked_due(target, now, most)
        if not rows:
            return None
        _note_lost(rows, now)
        token = uuid4()
        Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=DeliveryState.LEASED, lease_token=token, lease_until=now + LEASE, attempts=F("attempts") + 1
        )
    return Batch(target, token, tuple(rows), now + SEND_WINDOW)


def settle(attempt: Attempt, *, draw: Callable[[], float]) -> Step | None:
    """Store how a send ended, unless the lease was lost to another sender meanwhile: then None."""
    with transaction.atomic(durable=True):
        row = Delivery.objects.select_for_update().filter(pk=attempt.row.pk, lease_token=attempt.batch.token).first()
        outcome = attempt.outcome
        if row is None or outcome is None:
            logger.warning("a message to %s was settled by another sender", attempt.batch.target)
            return None
        history = History(row.attempts, row.give_up_at, tuple(row.history.values_list("outcome_class", flat=True)))
        step = next_step(outcome, history, now=attempt.ended_at, draw=draw)
        _record(row, attempt, outcome)
        _apply(row, step, outcome, attempt.ended_at)
        _note_health(row, outcome, attempt.ended_at, draw)
    return step


def send_again(deliveries: Sequence[Delivery], *, now: datetime) -> int:
    """Put given-up and cancelled messages back in line for another 72 hours; return how many there were."""
    with transaction.atomic():
        again = Delivery.objects.filter(
            pk__in=[delivery.pk for delivery in deliveries], state__in=[DeliveryState.DEAD, DeliveryState.CANCELLED]
        ).update(state=DeliveryState.PENDING, dead_at=None, next_attempt_at=now, give_up_at=now + HORIZON)
        transaction.on_commit(nudge, robust=True)
    return again


def cancel(deliveries: Sequence[Delivery]) -> int:
    """Take waiting messages out of line; return how many there were. What is being sent now can't be stopped."""
    chosen = Delivery.objects.waiting().filter(pk__in=[delivery.pk for delivery in deliveries])
    return chosen.update(state=DeliveryState.CANCELLED)


def _due_targets(now: datetime) -> list[str]:
    due = Delivery.objects.due(now).unhindered(now).order_by("target")
    return list(due.values_list("target", flat=True).distinct())


def _locked_health(target: str) -> TargetHealth | None:
    """Lock the target's row, so that two senders can't claim at once; None when another one is claiming."""
    TargetHealth.objects.bulk_create([TargetHealth(target=target)], ignore_conflicts=True)
    return TargetHealth.objects.select_for_update(skip_locked=True).filter(target=target).first()


def _is_resting(health: TargetHealth, now: datetime) -> bool:
    return health.paused_until is not None and health.paused_until > now


def _has_sender(target: str, now: datetime) -> bool:
    return Delivery.objects.filter(target=target, state=DeliveryState.LEASED, lease_until__gt=now).exists()


def _locked_due(target: str, now: datetime, most: int) -> list[Delivery]:
    due = Delivery.objects.due(now).filter(target=target).select_related("alert")
    due = due.order_by(MOST_URGENT_FIRST, "next_attempt_at", "id")
    return list(due.select_for_update(skip_locked=True, of=("self",))[:most])


def _note_lost(rows: Sequence[Delivery], now: datetime) -> None:
    """Record the sends whose sender never came back: nobody knows whether those messages arrived."""
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            delivery=row,
            number=row.attempts,
            began_at=row.lease_until - LEASE,
            ended_at=now,
            outcome_class=OutcomeClass.LOST,
            excerpt="The sender stopped before it could say how it went.",
        )
        for row in rows
        if row.lease_until is not None
    )


def _release(attempt: Attempt) -> None:
    """Put back what was claimed and not tried, as if it had never been claimed."""
    mine = Delivery.objects.filter(pk=attempt.row.pk, lease_token=attempt.batch.token)
    state = DeliveryState.RETRY if attempt.row.attempts else DeliveryState.PENDING
    mine.update(state=state, lease_token=None, lease_until=None, attempts=attempt.row.attempts)


def _record(row: Delivery, attempt: Attempt, outcome: Outcome) -> None:
    DeliveryAttempt.objects.create(
        delivery=row,
        number=row.attempts,
        began_at=attempt.began_at,
        ended_at=attempt.ended_at,
        outcome_class=outcome.outcome_class,
        status=outcome.status,
        excerpt=outcome.excerpt,
    )


def _apply(row: Delivery, step: Step, outcome: Outcome, at: datetime) -> None:
    row.lease_token = row.lease_until = None
    row.last_class, row.last_status, row.last_excerpt = outcome.outcome_class, outcome.status, outcome.excerpt
    row.message_id = outcome.message_id
    match step:
        case Sent():
            row.state, row.sent_at = DeliveryState.SENT, at
        case Again(at=again_at):
            row.state, row.next_attempt_at = DeliveryState.RETRY, again_at
        case GivenUp():
            row.state, row.dead_at = DeliveryState.DEAD, at
            logger.error("alert %s to %s was given up: %s", row.alert_id, row.target, outcome.excerpt)
    row.save()


def _note_health(row: Delivery, outcome: Outcome, at: datetime, draw: Callable[[], float]) -> None:
    """Let the target rest, or wake what waited for it."""
    health = TargetHealth.objects.select_for_update().get(target=row.target)
    if outcome.outcome_class is OutcomeClass.OK:
        if health.consecutive_failures >= FAILURES_THAT_OPEN:
            _bring_forward(row.target, at)
        health.consecutive_failures, health.last_ok_at = 0, at
        pace = SECONDS_BETWEEN[row.channel]
        health.paused_until = at + timedelta(seconds=pace) if pace else None
    elif outcome.is_target_wide:
        health.consecutive_failures += 1
        health.last_failure_at = at
        rest = rest_seconds(outcome, health.consecutive_failures, draw)
        health.paused_until = at + timedelta(seconds=rest) if rest else None
    health.save()


def _bring_forward(target: str, at: datetime) -> None:
    """Send what waited for a target's recovery now, not at the end of its own long wait."""
    Delivery.objects.filter(target=target, state=DeliveryState.RETRY, next_attempt_at__gt=at).update(next_attempt_at=at)


def _give_up_waiting(target: str, outcome: Outcome, at: datetime) -> int:
    """Give up what still waits for a target that is gone: asking it again would only repeat the answer."""
    return (
        Delivery.objects.waiting()
        .filter(target=target)
        .update(
            state=DeliveryState.DEAD,
            dead_at=at,
            last_class=outcome.outcome_class,
            last_status=outcome.status,
            last_excerpt=outcome.excerpt,
        )
    )
