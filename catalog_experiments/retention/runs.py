"""One run of retention: count the phases that are due a last time, mark them, and let their facts go; then orders."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction

from catalog_experiments.aggregation import aggregate_experiments
from catalog_experiments.audit import record_event
from catalog_experiments.models import AggregationCursor, ErasedCohort, IntakeOutcome, OpenUnit, Phase
from catalog_experiments.progress import Progress, tell_nobody
from catalog_experiments.retention import exposures, orders
from catalog_experiments.retention.report import OrderFacts, RetentionReport
from catalog_experiments.retention.rules import ANSWERS_KEPT, RetentionRules

ACTOR = "system:telemetry-retention"
LOCK_WAIT = "60s"

ONLY_FOR_COUNTING = (OpenUnit, ErasedCohort, AggregationCursor)
"""What is kept of a phase so that it can be counted again, and leaves with its facts."""


def plan(*, rules: RetentionRules, now: datetime) -> RetentionReport:
    """Return what a run would take now. Writes nothing."""
    leaving = [*rules.due_phases(now=now), *exposures.left_behind()]
    before_at, held_back_by = rules.orders_before(now=now, leaving=leaving)
    return RetentionReport(exposures.survey(leaving), orders.survey(OrderFacts(before_at, held_back_by)))


def retire(*, rules: RetentionRules, now: datetime, progress: Progress = tell_nobody) -> RetentionReport:
    """Let the facts go that have had their time, and return what went.

    Moments, tallies, metric rows, evaluations and events stay as they are. A phase is counted a last time and marked
    before its first exposure goes; from then on nothing counts it again and intake takes nothing for it. Every batch
    commits: a killed run is completed by the next. Orders that a counted phase may need are never taken.

    Args:
        rules: how long facts are kept.
        now: aware, UTC.
        progress: told how many exposures, then orders, are gone, of how many.
    """
    due = rules.due_phases(now=now)
    if due:
        aggregate_experiments({phase.experiment_id for phase in due}, now=now)
    _mark(due, now)
    leaving = exposures.left_behind() if rules.exposure_days else []
    phases = exposures.survey(leaving)
    busy = exposures.remove([*due, *leaving], expected=sum(facts.rows for facts in phases), tell=progress)
    before_at, held_back_by = rules.orders_before(now=now, leaving=[])
    ordered = orders.survey(OrderFacts(before_at, held_back_by))
    orders.remove(ordered, tell=progress)
    IntakeOutcome.objects.filter(hour_at__lt=now - ANSWERS_KEPT).delete()
    gone = tuple(facts for facts in phases if facts.partition not in busy)
    return RetentionReport(gone, ordered, busy)


def _mark(phases: Iterable[Phase], now: datetime) -> None:
    for phase in phases:
        with transaction.atomic():
            _hold_off_counting(phase)
            if Phase.objects.with_facts().filter(pk=phase.pk, closed_at__isnull=False).update(facts_retired_at=now):
                for by_product in ONLY_FOR_COUNTING:
                    by_product.objects.filter(phase=phase).delete()
                fields = {"phase": phase.number, "facts_retired_at": now.isoformat()}
                before = {"phase": phase.number, "facts_retired_at": None}
                record_event(phase.experiment, actor=ACTOR, action="retire_facts", before=before, after=fields, now=now)


def _hold_off_counting(phase: Phase) -> None:
    """Wait for a run that counts the phase; one that comes later waits for us and then finds the mark."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
    list(AggregationCursor.objects.select_for_update().filter(phase=phase))
