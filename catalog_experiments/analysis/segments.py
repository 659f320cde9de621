"""Pre-registered segments: the same metrics for a part of the units, as additional rows and never as a new question."""

from __future__ import annotations

from dataclasses import dataclass

from catalog_experiments.analysis.comparison import MetricReport
from catalog_experiments.analysis.metrics import MetricReader
from catalog_experiments.analysis.telemetry import EVERYBODY, PhaseTelemetry
from catalog_experiments.models import MomentMetric
from catalog_experiments.stats.looks import Look

RETURNING = "history:returning"
"""Units with an order in the 28 days before their exposure."""

SEGMENT_METRICS = (MomentMetric.REVENUE, MomentMetric.MARGIN, MomentMetric.CONVERSION, MomentMetric.TAKE_RATE)


@dataclass(frozen=True, slots=True)
class SegmentVariantReport:
    """One variant's metrics among the units of a segment."""

    key: str
    name: str
    is_control: bool
    metrics: tuple[MetricReport, ...]


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """One segment, `kind` such as `device` and `value` such as `mobile`; variants with the control first.

    Exploratory: many segments are looked at together, so a single one decides nothing.
    """

    kind: str
    value: str
    variants: tuple[SegmentVariantReport, ...]


def segment_reports(telemetry: PhaseTelemetry, control_key: str, look: Look) -> tuple[SegmentReport, ...]:
    """Return the registered segments with units, by kind and value; empty when segments were not loaded."""
    registered = set(telemetry.phase.segments)
    return tuple(
        _report(telemetry, segment, control_key, look)
        for segment in sorted(telemetry.pools)
        if segment != EVERYBODY and _kind(segment) in registered
    )


def _report(telemetry: PhaseTelemetry, segment: str, control_key: str, look: Look) -> SegmentReport:
    reader = MetricReader(telemetry.pools[segment], control_key, look)
    variants = tuple(
        SegmentVariantReport(
            key=variant["key"],
            name=variant["name"],
            is_control=variant["is_control"],
            metrics=tuple(reader.reports(variant["key"], SEGMENT_METRICS)),
        )
        for variant in telemetry.phase.variants
    )
    return SegmentReport(_kind(segment), segment.partition(":")[2], variants)


def _kind(segment: str) -> str:
    return segment.partition(":")[0]
