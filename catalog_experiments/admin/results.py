"""Rows of an experiment's page: what the offer does to the business."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalog_experiments.analysis import MetricReport, Report, SegmentVariantReport, VariantReport
from catalog_experiments.analysis.comparison import MONEY
from catalog_experiments.models import MomentMetric
from catalog_experiments.phrasing import lift_text, money_text, plain_text, range_text, rate_text

_MONEY = frozenset({*MONEY, MomentMetric.ORDER_VALUE})
_PLAIN = frozenset({MomentMetric.UNITS_PER_ORDER, MomentMetric.CANNIBALIZATION})
_SHOWN = {
    MomentMetric.MARGIN: "Margin per visitor",
    MomentMetric.REVENUE: "Revenue per visitor",
    MomentMetric.CONVERSION: "Conversion",
    MomentMetric.TAKE_RATE: "Take rate",
    MomentMetric.ORDER_VALUE: "Average order value",
    MomentMetric.UNITS_PER_ORDER: "Pieces per order",
    MomentMetric.CANNIBALIZATION: "Single pieces replaced by a bundled one",
    MomentMetric.RAW_REVENUE: "Revenue per visitor, uncapped",
    MomentMetric.RAW_MARGIN: "Margin per visitor, uncapped",
    MomentMetric.HARM: "Ordered within 24 hours",
    MomentMetric.HARM_TAKE_RATE: "Took the bundle within 24 hours",
    MomentMetric.HARM_REVENUE: "Revenue within 24 hours",
}
"""What each metric is called, in the order of the page."""

_MAIN = frozenset(
    _SHOWN[name]
    for name in (
        MomentMetric.MARGIN,
        MomentMetric.REVENUE,
        MomentMetric.CONVERSION,
        MomentMetric.TAKE_RATE,
        MomentMetric.ORDER_VALUE,
    )
)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One metric of one test variant beside the control, in words; `adjusted` is '' without an adjustment."""

    metric: str
    variant: str
    control_mean: str
    test_mean: str
    lift: float | None
    likely: str
    adjusted: str
    note: str


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """One pre-registered segment's rows; `name` such as `device: mobile`."""

    name: str
    rows: list[ResultRow]


def result_rows(report: Report | None) -> list[ResultRow]:
    """Compare each test variant's metrics with the control's; empty for a draft."""
    return _rows(report.variants, report.currency) if report is not None else []


def main_rows(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Return the rows that a decision rests on; the others wait behind a fold."""
    return [row for row in rows if row.metric in _MAIN]


def other_rows(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Return the rows that explain: uncapped money, the first 24 hours, pieces."""
    return [row for row in rows if row.metric not in _MAIN]


def segment_tables(report: Report | None) -> list[SegmentTable]:
    """Return the same rows for each pre-registered segment; empty without any."""
    if report is None:
        return []
    return [SegmentTable(f"{own.kind}: {own.value}", _rows(own.variants, report.currency)) for own in report.segments]


def _rows(variants: Sequence[VariantReport | SegmentVariantReport], currency: str) -> list[ResultRow]:
    control = next((_by_metric(variant) for variant in variants if variant.is_control), {})
    return [
        _row(variant.name, metric, control.get(metric.metric), currency)
        for variant in variants
        if not variant.is_control
        for metric in _in_order(variant)
    ]


def _by_metric(variant: VariantReport | SegmentVariantReport) -> dict[str, MetricReport]:
    return {metric.metric: metric for metric in variant.metrics}


def _in_order(variant: VariantReport | SegmentVariantReport) -> list[MetricReport]:
    found = _by_metric(variant)
    return [found[name] for name in _SHOWN if name in found]


def _row(variant: str, metric: MetricReport, control: MetricReport | None, currency: str) -> ResultRow:
    write = _writer(metric.metric, currency)
    is_whole = metric.metric == MomentMetric.CANNIBALIZATION
    return ResultRow(
        metric=_SHOWN[MomentMetric(metric.metric)],
        variant=variant,
        control_mean=write(control.mean if control else None),
        test_mean=write(metric.difference if is_whole else metric.mean),
        lift=metric.relative_lift,
        likely=range_text(metric.relative_interval) or _difference_text(metric, write),
        adjusted=_adjusted_text(metric),
        note=metric.reason or ("" if metric.is_mature else "to date, immature"),
    )


def _writer(metric: str, currency: str) -> Callable[[float | None], str]:
    if metric in _MONEY:
        return lambda value: money_text(value, currency)
    return plain_text if metric in _PLAIN else rate_text


def _difference_text(metric: MetricReport, write: Callable[[float | None], str]) -> str:
    # Ratios have no relative lift: their difference is told in their own unit.
    if metric.interval is None or metric.relative_lift is not None:
        return ""
    return f"likely {write(metric.interval.lower)} to {write(metric.interval.upper)}"


def _adjusted_text(metric: MetricReport) -> str:
    own = metric.adjusted
    if own is None or own.relative_lift is None or own.variance_reduction is None:
        return ""
    return f"{lift_text(own.relative_lift)} adjusted by past revenue, {own.variance_reduction:.0%} less variance"
