"""How far the facts have been counted: read and moved under a lock, in the time of the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from catalog_experiments.aggregation.hourly import forget_hours
from catalog_experiments.aggregation.scope import Scope
from catalog_experiments.models import AggregationCursor, OpenUnit, Phase

OVERLAP = timedelta(minutes=5)
"""How much of what was counted is looked at again: covers a writer that stamped a fact and had no number yet."""

LINGER = timedelta(days=2)
"""How long past its window a cohort day stays open, for orders that arrive or change late.

Not less: as long before the watermark's day are the last hours of exposure on which a drop is judged.
"""

LOCK_WAIT = "60s"

# Facts are stamped by the database's clock when written and seen when committed: what a transaction in flight stamped
# may still appear, so facts are complete only up to the start of the oldest one that has written something.
READ_CLOCK = """
SELECT statement_timestamp(), LEAST(min(xact_start), statement_timestamp())
FROM pg_stat_activity
WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Up to when facts are complete: `recorded_to` by the database's clock, `at` by the caller's."""

    recorded_to: datetime
    at: datetime


def read_watermark(*, now: datetime) -> Watermark:
    """Return up to when every recorded fact can be seen; the lag of the database is taken off `now`."""
    with connection.cursor() as cursor:
        cursor.execute(READ_CLOCK)
        clock, recorded_to = cursor.fetchone()
    return Watermark(recorded_to, now - (clock - recorded_to))


def claim(phases: Iterable[Phase], watermark: Watermark) -> Scope:
    """Lock the phases against other runs and return what has to be counted.

    A phase that was never counted, or whose served spans are others than the count assumed, is counted whole. One whose
    facts have been retired is left out: what was counted of it stands. Call it inside a transaction; it waits for
    another run up to a minute.
    """
    wanted = sorted(phases, key=_key)
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
    rows = _locked(wanted)
    if missing := [AggregationCursor(phase=phase) for phase in wanted if phase.pk not in rows]:
        AggregationCursor.objects.bulk_create(missing, ignore_conflicts=True)
        rows = _locked(wanted)
    # Asked under the lock: whoever retires facts holds the same row.
    countable = Phase.objects.with_facts().filter(pk__in=[phase.pk for phase in wanted])
    with_facts = set(countable.values_list("pk", flat=True))
    scope = Scope.of(phase for phase in wanted if phase.pk in with_facts)
    since, open_from = {}, {}
    for phase in scope.phases:
        row = rows[phase.pk]
        open_from[phase.pk] = _open_from(phase, watermark)
        if row.recorded_to is not None and row.served_spans == _spans(scope, phase.pk):
            since[phase.pk] = row.recorded_to - OVERLAP
            open_from[phase.pk] = row.open_from or open_from[phase.pk]
    return replace(scope, since=since, open_from=open_from)


def _locked(phases: Sequence[Phase]) -> dict[UUID | None, AggregationCursor]:
    rows = AggregationCursor.objects.select_for_update().filter(phase__in=phases).order_by("phase_id")
    return {row.phase_id: row for row in rows}


def reopened(scope: Scope, watermark: Watermark) -> Scope:
    """Return the scope that counts the same phases whole."""
    return replace(scope, since={}, open_from={phase.pk: _open_from(phase, watermark) for phase in scope.phases})


def anew(scope: Scope) -> Scope:
    """Return the scope that counts the same phases whole, their open days as they are."""
    return replace(scope, since={})


def advance(scope: Scope, watermark: Watermark) -> None:
    """Note that every fact of the phases up to the watermark is counted.

    Units of days that closed are let go, and hours of days that are due as a whole.
    """
    moved = {phase.pk: max(_open_from(phase, watermark), scope.open_from[phase.pk]) for phase in scope.phases}
    for phase in scope.phases:
        if moved[phase.pk] > scope.open_from[phase.pk]:
            OpenUnit.objects.filter(phase=phase, cohort_date__lt=moved[phase.pk]).delete()
    forget_hours(_moved(scope, moved))
    AggregationCursor.objects.bulk_create(
        [
            AggregationCursor(
                phase=phase,
                recorded_to=watermark.recorded_to,
                served_spans=_spans(scope, phase.pk),
                open_from=moved[phase.pk],
            )
            for phase in sorted(scope.phases, key=_key)
        ],
        update_conflicts=True,
        unique_fields=["phase"],
        update_fields=["recorded_to", "served_spans", "open_from"],
    )


def _moved(scope: Scope, open_from: Mapping[UUID, date]) -> Scope:
    """Return the scope, as it is now, of phases that have another first open day, or were counted whole."""
    before = {pk: day for pk, day in scope.open_from.items() if pk in scope.since}
    return replace(scope, open_from=open_from).only(
        phase for phase in scope.phases if open_from[phase.pk] != before.get(phase.pk)
    )


def _open_from(phase: Phase, watermark: Watermark) -> date:
    return (watermark.at - timedelta(days=phase.window_days) - LINGER).astimezone(UTC).date()


def _spans(scope: Scope, phase_id: Any) -> list[list[str | None]]:
    return [
        [span.start_at.isoformat(), span.end_at.isoformat() if span.end_at else None] for span in scope.spans[phase_id]
    ]


def _key(phase: Phase) -> str:
    return str(phase.pk)
