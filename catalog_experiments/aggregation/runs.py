"""The runs that bring aggregates up to now: everything, a few experiments, or the tallies alone before a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from catalog_experiments.aggregation.acceptance import update_acceptance
from catalog_experiments.aggregation.cursors import Watermark, read_watermark
from catalog_experiments.aggregation.metric_rows import update_metric_rows
from catalog_experiments.aggregation.moments import update_moments
from catalog_experiments.aggregation.tallies import update_tallies
from catalog_experiments.models import Experiment, ExperimentStatus, Phase, PhaseOrigin

SLICE = 50
"""Experiments in one transaction: a killed run leaves each experiment old or new, never half."""

LONGEST_LOOKBACK_DAYS = 3650

Progress = Callable[[int, int], None]
"""Told how many of how many slices are done."""


class InvalidLookback(ValueError):
    """A look-back that is no whole number of days from 1 to ten years."""


@dataclass(frozen=True, slots=True)
class AggregationResult:
    """What a run wrote: bundles with an acceptance row, experiments, cohort days, hourly tallies, metric rows.

    Facts recorded before `watermark_at` are counted.
    """

    bundles: int
    experiments: int
    cohorts: int
    tallies: int
    metric_rows: int
    watermark_at: datetime
    duration_seconds: float


class BundleAcceptanceAggregator:
    """The runbook's entry point: one run over everything."""

    def __init__(self, *, progress: Progress | None = None) -> None:
        """Remember whom to tell how far the run is."""
        self._progress = progress

    def recompute(self, lookback_days: int = 30, *, now: datetime | None = None) -> AggregationResult:
        """Bring bundle acceptance over the look-back, and every experiment since its phases began, up to now.

        Only bundle acceptance slides. Safe to repeat and to run twice at once; seeded phases are left alone.

        Args:
            lookback_days: days of orders that bundle acceptance covers, 1 to 3650.
            now: aware; None reads the clock, as the runbook calls it bare.

        Raises:
            InvalidLookback: the look-back is out of range.
        """
        require_lookback(lookback_days)
        started, now = time.monotonic(), now or timezone.now()
        experiments = list(_with_phases())
        slices = [experiments[start : start + SLICE] for start in range(0, len(experiments), SLICE)]
        watermark, cohorts, tallies, rows = read_watermark(now=now), 0, 0, 0
        for done, part in enumerate(slices, start=1):
            counted = _update(part, watermark, now)
            tallies, cohorts, rows = tallies + counted[0], cohorts + counted[1], rows + counted[2]
            self._tell(done, len(slices) + 1)
        bundles = update_acceptance(lookback_days=lookback_days, now=now)
        self._tell(len(slices) + 1, len(slices) + 1)
        seconds = time.monotonic() - started
        return AggregationResult(bundles, len(experiments), cohorts, tallies, rows, watermark.at, seconds)

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)


def aggregate_experiments(experiment_ids: Iterable[UUID], *, now: datetime) -> datetime:
    """Bring tallies, moments and today's rows of some experiments up to now, and nothing else; return the watermark."""
    watermark = read_watermark(now=now)
    _update(list(_with_phases().filter(pk__in=list(experiment_ids))), watermark, now)
    return watermark.at


def refresh_tallies(experiment_ids: Sequence[UUID], *, now: datetime) -> datetime:
    """Bring the tallies of the experiments' current phases up to now and return the watermark.

    What a guardrail tick does first; a constant number of statements for any number of experiments.
    """
    watermark = read_watermark(now=now)
    phases = Phase.objects.filter(experiment__in=experiment_ids, experiment__current_phase=F("pk"))
    with transaction.atomic():
        update_tallies(list(phases.exclude(origin=PhaseOrigin.SEEDED)), watermark)
    return watermark.at


def require_lookback(lookback_days: int) -> None:
    """Let a sensible look-back pass.

    Raises:
        InvalidLookback: it is none.
    """
    if not 1 <= lookback_days <= LONGEST_LOOKBACK_DAYS:
        raise InvalidLookback(
            f"The look-back must be a whole number of days from 1 to {LONGEST_LOOKBACK_DAYS}, not {lookback_days}."
        )


def _update(experiments: list[Experiment], watermark: Watermark, now: datetime) -> tuple[int, int, int]:
    phases = list(Phase.objects.filter(experiment__in=experiments).exclude(origin=PhaseOrigin.SEEDED))
    shown = [
        experiment
        for experiment in experiments
        if experiment.status in (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED) and not experiment.is_seeded
    ]
    # Tallies first and by themselves: a guardrail tick then never waits for the moments.
    with transaction.atomic():
        tallies = update_tallies(phases, watermark)
    with transaction.atomic():
        cohorts = update_moments(phases, watermark)
        rows = update_metric_rows(shown, now=now, watermark_at=watermark.at)
    return tallies, cohorts, rows


def _with_phases() -> QuerySet[Experiment]:
    return Experiment.objects.exclude(status=ExperimentStatus.DRAFT).select_related("current_phase").order_by("pk")
