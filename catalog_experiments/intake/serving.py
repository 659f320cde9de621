"""When a phase served its variants: the spans between its opening, its pauses and its end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any, NamedTuple, Protocol


class ServedSpan(NamedTuple):
    """Half-open span `[start_at, end_at)`; an `end_at` of None means until further notice."""

    start_at: datetime
    end_at: datetime | None


class Serving(Protocol):
    """What is asked of a phase here; its row and its model both have it."""

    @property
    def opened_at(self) -> datetime:
        """When it began."""

    @property
    def closed_at(self) -> datetime | None:
        """When it ended, if it did."""

    @property
    def unserved_spans(self) -> list[Any]:
        """Pauses and waits for the slot as [from, to or null] in ISO 8601."""


def served_spans(phase: Serving) -> tuple[ServedSpan, ...]:
    """Return the spans in which the phase served, oldest first; a unit belongs to the span of its exposure.

    A span's end cuts the units whose window reaches past it.
    """
    spans = []
    start_at: datetime | None = phase.opened_at
    for gap_from, gap_to in sorted(_gaps(phase), key=itemgetter(0)):
        if start_at is not None and gap_from > start_at:
            spans.append(ServedSpan(start_at, gap_from))
        start_at = gap_to if start_at is None or gap_to is None else max(start_at, gap_to)
    if start_at is not None and (phase.closed_at is None or start_at < phase.closed_at):
        spans.append(ServedSpan(start_at, phase.closed_at))
    return tuple(spans)


def retention_month(opened_at: datetime) -> date:
    """Return the first day of the UTC month in which a phase opened: the partition of its exposures."""
    return opened_at.astimezone(UTC).date().replace(day=1)


def _gaps(phase: Serving) -> list[tuple[datetime, datetime | None]]:
    return [
        (datetime.fromisoformat(since), datetime.fromisoformat(until) if until else phase.closed_at)
        for since, until in phase.unserved_spans
    ]
