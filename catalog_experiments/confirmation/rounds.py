"""Rounds over the promises nobody has seen kept yet: look, confirm, look again soon, or tell people.

The table says what is owed, so a round may be killed, repeated, or run twice at once: whoever moves `next_look_at`
forward looks, the other one goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from catalog_experiments.confirmation.alerts import draft_of_relief, draft_of_worry, key_of
from catalog_experiments.confirmation.visits import Promise, look
from catalog_experiments.models import LiveConfirmation
from catalog_experiments.publication import load_document
from notifications.outbox import enqueue, resolve

SOON, LATER = timedelta(seconds=5), timedelta(minutes=1)
PATIENCE = timedelta(minutes=1)
"""How long a promise may stay unseen before people are told; looks come every 5 s until then, every minute after."""

GIVEN_UP_AFTER = timedelta(hours=24)
CLAIM = timedelta(seconds=60)
AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class RoundResult:
    """How many promises were seen kept, how many not yet, and for how many people were told."""

    confirmed: int
    unconfirmed: int
    alerts: int


def confirm_due(*, now: datetime) -> RoundResult:
    """Look after every promise that is due and settle each by itself; network errors are findings, never raised."""
    due = LiveConfirmation.objects.filter(next_look_at__lte=now).order_by("next_look_at")[:AT_ONCE]
    mine = [row for row in due.select_related("experiment") if _claim(row, now)]
    document = load_document() if mine else None
    found = [(row, _finding(row, document)) for row in mine]
    alerts = sum(_worry(row, problem, now) if problem else _confirm(row, now) for row, problem in found)
    unconfirmed = sum(bool(problem) for _, problem in found)
    return RoundResult(len(found) - unconfirmed, unconfirmed, alerts)


def _claim(row: LiveConfirmation, now: datetime) -> bool:
    owed = LiveConfirmation.objects.filter(pk=row.pk, next_look_at=row.next_look_at)
    return owed.update(next_look_at=now + CLAIM, looks=row.looks + 1) == 1


def _finding(row: LiveConfirmation, document: dict[str, object] | None) -> str:
    entries = {entry["slug"]: entry for entry in (document or {}).get("experiments", ())}  # type: ignore[attr-defined]  # JSON
    entry = entries.get(row.experiment.slug)
    if entry is None or document is None:
        return "The experiment is not in the newest document."
    return look(Promise(entry, row.document_version, str(document["issued_at"])))


def _confirm(row: LiveConfirmation, now: datetime) -> int:
    """Write down that the promise was kept; return how many alerts that made."""
    with transaction.atomic():
        if not _open(row).update(confirmed_at=now, next_look_at=None, problem="") or row.alerted_at is None:
            return 0
        resolve(key_of(row), now=now)
        return int(enqueue(draft_of_relief(row, now=now), now=now) is not None)


def _worry(row: LiveConfirmation, problem: str, now: datetime) -> int:
    """Write down what was found instead, and tell people once patience is over; return how many alerts that made."""
    age = now - row.promised_at
    is_news = row.alerted_at is None and age >= PATIENCE
    next_look_at = None if age > GIVEN_UP_AFTER else now + (SOON if age < PATIENCE else LATER)
    with transaction.atomic():
        changed = _open(row).update(
            problem=problem, next_look_at=next_look_at, alerted_at=now if is_news else row.alerted_at
        )
        if not (changed and is_news):
            return 0
        return int(enqueue(draft_of_worry(row, problem, now=now), now=now) is not None)


def _open(row: LiveConfirmation) -> QuerySet[LiveConfirmation]:
    # Superseded meanwhile: nobody looks any more.
    return LiveConfirmation.objects.filter(pk=row.pk, next_look_at__isnull=False)
