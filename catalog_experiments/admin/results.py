"""Rows of an experiment's page: what the offer does to the business, and whether the data can be trusted."""

from dataclasses import dataclass

from catalog_experiments.analysis import MetricReport, Report
from catalog_experiments.phrasing import money_text, range_text, rate_text

_MONEY = ("revenue", "margin")
_LABELS = {
    "revenue": "Revenue per visitor",
    "margin": "Margin per visitor",
    "conversion": "Conversion",
    "take_rate": "Take rate",
    "harm": "Ordered within 24 hours",
}


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One metric of one test variant beside the control, in words."""

    metric: str
    variant: str
    control_mean: str
    test_mean: str
    lift: float | None
    likely: str
    note: str


def result_rows(report: Report | None) -> list[ResultRow]:
    """Compare each test variant's metrics with the control's; empty for a draft."""
    if report is None or not report.variants:
        return []
    control = {metric.metric: metric for metric in report.variants[0].metrics}
    return [
        _row(variant.name, metric, control.get(metric.metric), report.currency)
        for variant in report.variants[1:]
        for metric in variant.metrics
    ]


def _row(variant: str, metric: MetricReport, control: MetricReport | None, currency: str) -> ResultRow:
    write = (lambda mean: money_text(mean, currency)) if metric.metric in _MONEY else rate_text
    return ResultRow(
        metric=_LABELS.get(metric.metric, metric.metric),
        variant=variant,
        control_mean=write(control.mean if control else None),
        test_mean=write(metric.mean),
        lift=metric.relative_lift,
        likely=range_text(metric.relative_interval),
        note=metric.reason or ("" if metric.is_mature else "to date, immature"),
    )


@dataclass(frozen=True, slots=True)
class TrustRow:
    """One check of the data: passed or not, in a sentence."""

    label: str
    is_good: bool
    sentence: str


def trust_rows(report: Report | None) -> list[TrustRow]:
    """Say whether shoppers are split as planned; empty where there is nothing to split yet."""
    if report is None or report.srm is None:
        return []
    counts = " : ".join(f"{variant.exposed_count:,}" for variant in report.variants)
    good = not report.srm.is_mismatch
    verdict = "as planned" if good else "not as planned: the lift cannot be trusted"
    return [TrustRow("Split of visitors", good, f"{counts}, {verdict}")]
