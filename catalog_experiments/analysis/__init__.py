"""Metric rows and moments -> a report: what each variant did, against control, and with how much certainty.

Stands between `aggregation`, which writes the numbers, and the faces that show them. Nothing here is stored.
"""

from catalog_experiments.analysis.comparison import AdjustedReport, MetricReport
from catalog_experiments.analysis.left_out import DataQuality, Gap, UnitCounts
from catalog_experiments.analysis.report import Report, VariantReport, analyze, analyze_many
from catalog_experiments.analysis.sample_ratio import LeftOutRatios, SrmReport
from catalog_experiments.analysis.segments import SegmentReport, SegmentVariantReport
from catalog_experiments.analysis.telemetry import latest_metrics
from catalog_experiments.analysis.unexposed import Buyers

__all__ = [
    "AdjustedReport",
    "Buyers",
    "DataQuality",
    "Gap",
    "LeftOutRatios",
    "MetricReport",
    "Report",
    "SegmentReport",
    "SegmentVariantReport",
    "SrmReport",
    "UnitCounts",
    "VariantReport",
    "analyze",
    "analyze_many",
    "latest_metrics",
]
