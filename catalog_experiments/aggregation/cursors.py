"""How far the facts have been counted: read and moved under a lock, in the time of the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from catalog_experiments.aggregation.scope import Scope
from catalog_experiments.models import AggregationCursor, Phase

OVERLAP = timedelta(minutes=5)
"""How much of what was counted is looked at again: covers a writer that stamped a fact and had no number yet."""

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


def claim(phases: Iterable[Phase], product: str) -> Scope:
    """Lock the product of the phases against other runs and return what has to be counted.

    A phase that was never counted, or whose served spans are others than the count assumed, is counted whole. Call it
    inside a transaction; it waits for another run up to a minute.
    """
    scope = Scope.of(phases)
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
    cursors = [AggregationCursor(phase=phase, product=product) for phase in sorted(scope.phases, key=_key)]
    AggregationCursor.objects.bulk_create(cursors, ignore_conflicts=True)
    rows = AggregationCursor.objects.select_for_update().filter(phase__in=scope.phases, product=product)
    since = {
        row.phase_id: row.recorded_to - OVERLAP
        for row in rows.order_by("phase_id")
        if row.recorded_to is not None and row.served_spans == _spans(scope, row.phase_id)
    }
    return replace(scope, since=since)


def advance(scope: Scope, product: str, watermark: Watermark) -> None:
    """Note that the product of the phases counts every fact up to the watermark."""
    AggregationCursor.objects.bulk_create(
        [
            AggregationCursor(
                phase=phase,
                product=product,
                recorded_to=watermark.recorded_to,
                served_spans=_spans(scope, phase.pk),
            )
            for phase in sorted(scope.phases, key=_key)
        ],
        update_conflicts=True,
        unique_fields=["phase", "product"],
        update_fields=["recorded_to", "served_spans"],
    )


def _spans(scope: Scope, phase_id: Any) -> list[list[str | None]]:
    return [
        [span.start_at.isoformat(), span.end_at.isoformat() if span.end_at else None] for span in scope.spans[phase_id]
    ]


def _key(phase: Phase) -> str:
    return str(phase.pk)
