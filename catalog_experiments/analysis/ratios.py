"""Companions that are no means per visitor: ratios of two sums, and how far the bundle eats into single sales."""

from __future__ import annotations

from catalog_experiments.analysis.comparison import MetricReport
from catalog_experiments.models import MomentMetric
from catalog_experiments.stats.effects import ratio, ratio_difference
from catalog_experiments.stats.looks import Look
from catalog_experiments.stats.moments import JointMoments
from catalog_experiments.stats.substitution import substitution

RATIOS = frozenset({MomentMetric.ORDER_VALUE, MomentMetric.UNITS_PER_ORDER})
"""Outcome over covariate: revenue over orders, pieces over orders, summed over the exposed units."""


def describe_ratio(metric: str, moments: JointMoments, look: Look, shortfall: str) -> MetricReport:
    """Return the report of a ratio without comparison, as for the control."""
    own = ratio(moments, look.half_width)
    return MetricReport(
        metric, moments.n, own.value, is_mature=not (shortfall or own.reason), reason=shortfall or own.reason
    )


def compare_ratio(metric: str, test: JointMoments, control: JointMoments, look: Look, shortfall: str) -> MetricReport:
    """Return the report of a test variant's ratio against the control's."""
    contrast = ratio_difference(test, control, look.half_width)
    return MetricReport(
        metric=metric,
        n=test.n,
        mean=ratio(test, look.half_width).value,
        difference=contrast.value,
        standard_error=contrast.standard_error,
        interval=None if shortfall else contrast.interval,
        is_mature=not (shortfall or contrast.reason),
        reason=shortfall or contrast.reason,
    )


def compare_substitution(test: JointMoments, control: JointMoments, look: Look, shortfall: str) -> MetricReport:
    """Return how many single pieces each bundled one replaces; the whole figure is a comparison, so it has no mean."""
    found = substitution(test, control, look.half_width)
    return MetricReport(
        metric=MomentMetric.CANNIBALIZATION,
        n=test.n,
        mean=None,
        difference=found.value,
        standard_error=found.standard_error,
        interval=None if shortfall else found.interval,
        is_mature=not (shortfall or found.reason),
        reason=shortfall or found.reason,
    )
