"""Metric rows and moments -> a report: what each variant did, against control, and with how much certainty.

Stands between `aggregation`, which writes the numbers, and the faces that show them. Nothing here is stored.
"""

from catalog_experiments.analysis.comparison import MetricReport
from catalog_experiments.analysis.report import Report, VariantReport, analyze, analyze_many
from catalog_experiments.analysis.sample_ratio import SrmReport
from catalog_experiments.analysis.telemetry import latest_metrics

__all__ = [
    "MetricReport",
    "Report",
    "SrmReport",
    "VariantReport",
    "analyze",
    "analyze_many",
    "latest_metrics",
]
