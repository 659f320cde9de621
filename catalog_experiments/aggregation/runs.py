"""The runs that bring aggregates up to now: everything, a few experiments, or the tallies alone before a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone

from catalog_experiments.aggregation.acceptance import recount_hours, update_acceptance
from catalog_experiments.aggregation.counting import Counted, recount, update_counts
from catalog_experiments.aggregation.cursors import Watermark, read_watermark
from catalog_experiments.aggregation.metric_rows import update_metric_rows
from catalog_experiments.aggregation.telemetry_hours import RECOUNTED_BY_RUNS, update_telemetry_hours
from catalog_experiments.aggregation.workbench import Guard, in_one_view
from catalog_experiments.models import ErasedCohort, Experiment, ExperimentStatus, Phase, PhaseOrigin

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


@dataclass(frozen=True, slots=True)
class Verification:
    """What a full pass found: phases counted, those without facts, cohort days, and `corrected` rows that were wrong.

    `erased` are cohort days from which units were erased: what these had added was counted with the facts.
    """

    phases: int
    retired: int
    cohorts: int
    corrected: int
    erased: int
    watermark_at: datetime


class BundleAcceptanceAggregator:
    """The runbook's entry point: one run over everything."""

    def __init__(self, *, progress: Progress | None = None, guard: Guard = nullcontext) -> None:
        """Remember whom to tell how far the run is, and what says at each commit that the work is still its own."""
        self._progress = progress
        self._guard = guard

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
        slices = _slices(experiments)
        watermark, counted, rows = read_watermark(now=now), Counted(), 0
        for done, part in enumerate(slices, start=1):
            own, written = _update(part, watermark, now, self._guard)
            counted, rows = counted + own, rows + written
            self._tell(done, len(slices) + 1)
        accept = partial(update_acceptance, watermark, lookback_days=lookback_days, now=now)
        bundles = in_one_view(accept, self._guard)
        self._tell(len(slices) + 1, len(slices) + 1)
        seconds = time.monotonic() - started
        return AggregationResult(
            bundles, len(experiments), counted.cohorts, counted.tallies, rows, watermark.at, seconds
        )

    def verify(self, *, now: datetime) -> Verification:
        """Count everything from all its facts once more, put right what was wrong, and say how much that was.

        Each slice of experiments is brought up to date first, in the same view of the facts, so that only errors
        differ. What erased units had added is counted too; phases whose facts were retired are left out.
        """
        experiments = list(_with_phases())
        slices, watermark, counted = _slices(experiments), read_watermark(now=now), Counted()
        for done, part in enumerate(slices, start=1):
            counted += in_one_view(partial(recount, _phases_of(part), watermark), self._guard)
            self._tell(done, len(slices) + 1)
        hours = in_one_view(partial(recount_hours, watermark), self._guard)
        self._tell(len(slices) + 1, len(slices) + 1)
        phases = Phase.objects.filter(experiment__in=experiments).exclude(origin=PhaseOrigin.SEEDED)
        retired = phases.exclude(pk__in=Phase.objects.with_facts()).count()
        erased = ErasedCohort.objects.filter(phase__in=phases).count()
        return Verification(
            phases.count() - retired, retired, counted.cohorts, counted.written + hours, erased, watermark.at
        )

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
    known = list(phases.exclude(origin=PhaseOrigin.SEEDED).with_facts())
    in_one_view(partial(update_counts, known, watermark))
    update_telemetry_hours(known, now=watermark.at)
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


def _update(
    experiments: list[Experiment], watermark: Watermark, now: datetime, guard: Guard = nullcontext
) -> tuple[Counted, int]:
    phases = _phases_of(experiments)
    shown = [
        experiment
        for experiment in experiments
        if experiment.status in (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED) and not experiment.is_seeded
    ]

    def count() -> tuple[Counted, int]:
        counted = update_counts(phases, watermark)
        return counted, update_metric_rows(shown, now=now, watermark_at=watermark.at)

    result = in_one_view(count, guard)
    update_telemetry_hours(phases, now=watermark.at, recounted=RECOUNTED_BY_RUNS)
    return result


def _slices(experiments: list[Experiment]) -> list[list[Experiment]]:
    return [experiments[start : start + SLICE] for start in range(0, len(experiments), SLICE)]


def _phases_of(experiments: list[Experiment]) -> list[Phase]:
    known = Phase.objects.filter(experiment__in=experiments).exclude(origin=PhaseOrigin.SEEDED)
    return list(known.with_facts())


def _with_phases() -> QuerySet[Experiment]:
    return Experiment.objects.exclude(status=ExperimentStatus.DRAFT).select_related("current_phase").order_by("pk")
