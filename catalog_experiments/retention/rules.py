"""How long facts are kept, and which have had their time: asked of closed phases and of the age of orders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from catalog_experiments.hours import hour_of
from catalog_experiments.models import Phase, PhaseOrigin

BATCH = 10_000
"""Rows deleted in one transaction."""

LATEST_REPORT = timedelta(days=30)
"""How late an event may come in."""

LATEST_REFUND = timedelta(days=30)
"""After which refunds count as complete."""

ANSWERS_KEPT = timedelta(days=30)
"""How long it is told what became of reports that were not plainly stored."""

COUNTED_BEFORE_EXPOSURE = timedelta(days=28)
"""How far before a unit's exposure its orders are counted."""


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Days that exposures are kept after their phase closed, and orders after they were placed; 0 keeps for good."""

    exposure_days: int
    order_days: int

    @classmethod
    def in_force(cls) -> RetentionRules:
        """Return what the settings ask for."""
        return cls(settings.TELEMETRY_EXPOSURE_RETENTION_DAYS, settings.TELEMETRY_ORDER_RETENTION_DAYS)

    def due_phases(self, *, now: datetime) -> list[Phase]:
        """Return the closed phases whose exposures may leave, oldest first."""
        if not self.exposure_days:
            return []
        closed = Phase.objects.with_facts().filter(closed_at__isnull=False).exclude(origin=PhaseOrigin.SEEDED)
        known = closed.select_related("experiment").order_by("opened_at", "pk")
        return [phase for phase in known if phase.closed_at and self._leaves_at(phase.closed_at, phase) <= now]

    def orders_before(self, *, now: datetime, leaving: list[Phase]) -> tuple[datetime | None, str]:
        """Return the hour before which orders may leave, None for never, and the phase that holds more of them back.

        A phase that may still be counted from facts keeps every order it counts, whatever their age; those `leaving`
        no longer do.
        """
        if not self.order_days:
            return None, ""
        aged_at = now - timedelta(days=self.order_days)
        counted = Phase.objects.with_facts().exclude(origin=PhaseOrigin.SEEDED).exclude(pk__in=[p.pk for p in leaving])
        oldest = counted.select_related("experiment").order_by("opened_at").first()
        if oldest is None or oldest.opened_at - COUNTED_BEFORE_EXPOSURE >= aged_at:
            return hour_of(aged_at), ""  # bundle acceptance is counted by the hour: one leaves whole or not at all
        return hour_of(oldest.opened_at - COUNTED_BEFORE_EXPOSURE), str(oldest)

    def _leaves_at(self, closed_at: datetime, phase: Phase) -> datetime:
        matures = timedelta(days=phase.window_days) + LATEST_REPORT + LATEST_REFUND
        return closed_at + max(timedelta(days=self.exposure_days), matures)
