"""Assemble the report of an experiment's current phase from its telemetry."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from catalog_experiments.analysis.comparison import MetricReport
from catalog_experiments.analysis.left_out import DataQuality, UnitCounts, load_data_quality, unit_counts
from catalog_experiments.analysis.metrics import MetricReader
from catalog_experiments.analysis.sample_ratio import LeftOutRatios, SrmReport, left_out_ratios, sample_ratio
from catalog_experiments.analysis.segments import RETURNING, SegmentReport, segment_reports
from catalog_experiments.analysis.telemetry import PhaseTelemetry, load_telemetry
from catalog_experiments.analysis.unexposed import load_buyers
from catalog_experiments.models import Experiment, ExperimentStatus, MomentMetric, PhaseOrigin, RampState, VariantMetric
from catalog_experiments.stats.effects import Estimate, Interval, wilson_interval
from catalog_experiments.stats.looks import Look, gated_lift, look_while_running
from catalog_experiments.stats.moments import VariantMoments

NO_METRICS = "awaiting telemetry"
DIFFERENT_BUYERS = (
    "different buyers: {name} also changes how many visitors buy, so its acceptance lift compares unlike people"
)
OTHER_CURRENCIES = "orders in {others} are left out of the money metrics"
RAMPED = (
    "from a ramp: visitors joined step by step, up to {share:g} % of all so far; the result holds for those visitors"
)
SEEDED = "seeded for QA: these numbers never came from shoppers"


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One variant: its figures among buyers (acceptance) and its metrics per exposed unit.

    Rates and lifts are fractions. `lift` is that of acceptance among buyers, from counts; None for the control and
    without control acceptance. Intervals are None until 100 units and 20 acceptances in both variants.
    """

    key: str
    name: str
    is_control: bool
    bundle_slug: str | None
    exposed_count: int
    sample_size: int
    acceptance_count: int
    acceptance_rate: float | None
    acceptance_interval: Interval | None
    lift: float | None
    lift_interval: Interval | None
    lift_reason: str
    metrics: tuple[MetricReport, ...]
    units: UnitCounts = field(default_factory=UnitCounts)


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of an experiment's current phase; variants with the control first.

    `opened_at` and `phase_number` are None for a draft, `watermark_at` before the first aggregation (facts recorded
    before it are counted). `is_final` says that fixed-horizon results are shown; before, all intervals are sequential.
    `segments` are the pre-registered ones, empty unless the report was asked for with them; `quality` then says how far
    the telemetry can be trusted, else it is None. `left_out_ratios` are the final checks of mixed units and of buyers
    without an exposure: there once the report is final, and was asked for with its segments.
    """

    slug: str
    status: str
    phase_number: int | None
    opened_at: datetime | None
    watermark_at: datetime | None
    variants: tuple[VariantReport, ...]
    srm: SrmReport | None
    primary_metric: str
    currency: str
    planned_sample_size: int | None
    notes: tuple[str, ...] = ()
    is_final: bool = False
    segments: tuple[SegmentReport, ...] = ()
    quality: DataQuality | None = None
    left_out_ratios: LeftOutRatios | None = None

    @property
    def control(self) -> VariantReport | None:
        """The control's report; None when there is no control."""
        return next((variant for variant in self.variants if variant.is_control), None)


def analyze(experiment: Experiment, *, now: datetime) -> Report:
    """Return the report of one experiment, with its segments, the adjustment by past revenue, and the final checks."""
    report = analyze_many([experiment], now=now, with_segments=True)[experiment.pk]
    phase = experiment.current_phase
    if not report.is_final or phase is None or phase.origin != PhaseOrigin.PUBLISHED:
        return report  # nobody met an offer of this shop in an imported phase
    mixed = {variant.key: variant.units.mixed for variant in report.variants}
    buyers = load_buyers(phase, experiment.slug, now=now)
    return replace(report, left_out_ratios=left_out_ratios(phase.variants, mixed, buyers))


def analyze_many(
    experiments: Iterable[Experiment], *, now: datetime, with_segments: bool = False
) -> dict[uuid.UUID, Report]:
    """Return the reports by experiment id, in a constant number of queries for any number of experiments.

    Segments, adjusted differences and data quality are left out unless asked for: cards don't show them.
    """
    wanted = list(experiments)
    telemetry = load_telemetry(wanted, now=now, with_segments=with_segments)
    phases = [own.phase for own in telemetry.values()] if with_segments else []
    quality = load_data_quality(phases, now=now) if phases else {}
    return {
        experiment.pk: replace(_report(experiment, telemetry[phase_id], now), quality=quality.get(phase_id))
        if (phase_id := experiment.current_phase_id)
        else _empty_report(experiment)
        for experiment in wanted
    }


def _empty_report(experiment: Experiment) -> Report:
    return Report(
        slug=experiment.slug,
        status=experiment.status,
        phase_number=None,
        opened_at=None,
        watermark_at=None,
        variants=(),
        srm=None,
        primary_metric=experiment.primary_metric,
        currency="",
        planned_sample_size=experiment.planned_sample_size,
        notes=("not published yet",),
    )


def _report(experiment: Experiment, telemetry: PhaseTelemetry, now: datetime) -> Report:
    phase = telemetry.phase
    look = _look(experiment, telemetry, now)
    variants = tuple(_variant_report(snapshot, telemetry, look) for snapshot in phase.variants)
    return Report(
        slug=experiment.slug,
        status=experiment.status,
        phase_number=phase.number,
        opened_at=phase.opened_at,
        watermark_at=max((row.watermark_at for row in telemetry.metrics.values()), default=None),
        variants=variants,
        srm=sample_ratio(phase.variants, telemetry.exposed_by_day, is_final=look.is_final),
        primary_metric=phase.primary_metric,
        currency=phase.currency,
        planned_sample_size=phase.planned_sample_size,
        notes=(*_notes(telemetry, variants), *_population_notes(experiment)),
        is_final=look.is_final,
        segments=segment_reports(telemetry, _control_key(telemetry), look),
    )


def _look(experiment: Experiment, telemetry: PhaseTelemetry, now: datetime) -> Look:
    phase, planned = telemetry.phase, telemetry.phase.planned_sample_size
    complete = [telemetry.pool.complete_of(own["key"], MomentMetric.CONVERSION).n for own in phase.variants]
    is_final = (
        experiment.status == ExperimentStatus.COMPLETED
        or phase.origin == PhaseOrigin.IMPORTED
        or (experiment.scheduled_end_at is not None and now >= experiment.scheduled_end_at)
        or (bool(planned) and min(complete, default=0) >= (planned or 0))
    )
    return replace(look_while_running(planned), is_final=is_final)


def _variant_report(snapshot: Mapping[str, Any], telemetry: PhaseTelemetry, look: Look) -> VariantReport:
    key, is_control = snapshot["key"], bool(snapshot["is_control"])
    row = telemetry.metrics.get(key)
    accepted, sample = (row.acceptance_count, row.sample_size) if row else (0, 0)
    lift = Estimate(None) if is_control else _acceptance_lift(telemetry, row, look)
    return VariantReport(
        key=key,
        name=snapshot["name"],
        is_control=is_control,
        bundle_slug=snapshot["bundle_slug"],
        exposed_count=row.exposed_count if row else 0,
        sample_size=sample,
        acceptance_count=accepted,
        acceptance_rate=accepted / sample if sample else None,
        acceptance_interval=wilson_interval(accepted, sample),
        lift=lift.value,
        lift_interval=lift.interval,
        lift_reason=lift.reason,
        metrics=tuple(_reader(telemetry, look).reports(key)),
        units=unit_counts(row),
    )


def _acceptance_lift(telemetry: PhaseTelemetry, row: VariantMetric | None, look: Look) -> Estimate:
    control_row = telemetry.metrics.get(_control_key(telemetry))
    if row is None or control_row is None:
        return Estimate(None, reason=NO_METRICS)
    test, control = (VariantMoments.of_counts(own.acceptance_count, own.sample_size) for own in (row, control_row))
    return gated_lift(test, control, look)


def _reader(telemetry: PhaseTelemetry, look: Look) -> MetricReader:
    return MetricReader(telemetry.pool, _control_key(telemetry), look, telemetry.pools.get(RETURNING))


def _notes(telemetry: PhaseTelemetry, variants: Sequence[VariantReport]) -> tuple[str, ...]:
    notes = [
        DIFFERENT_BUYERS.format(name=variant.name)
        for variant in variants
        for metric in variant.metrics
        if metric.metric == MomentMetric.CONVERSION and metric.interval is not None and metric.interval.excludes(0)
    ]
    others = telemetry.currencies - {telemetry.phase.currency}
    if others:
        notes.append(OTHER_CURRENCIES.format(others=", ".join(sorted(others))))
    if telemetry.phase.origin == PhaseOrigin.SEEDED:
        notes.append(SEEDED)
    return tuple(notes)


def _population_notes(experiment: Experiment) -> tuple[str, ...]:
    if experiment.ramp_state == RampState.NONE:
        return ()
    return (RAMPED.format(share=experiment.coverage / 100),)


def _control_key(telemetry: PhaseTelemetry) -> str:
    return next((variant["key"] for variant in telemetry.phase.variants if variant["is_control"]), "")
