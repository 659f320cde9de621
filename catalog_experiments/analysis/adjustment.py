"""The same difference with less noise: adjusted by what each visitor had spent before meeting the experiment."""

from __future__ import annotations

from catalog_experiments.analysis.comparison import AdjustedReport
from catalog_experiments.models import MomentMetric
from catalog_experiments.stats.cuped import Stratum, adjusted_difference
from catalog_experiments.stats.looks import Look
from catalog_experiments.stats.moments import JointMoments

ADJUSTED = frozenset({MomentMetric.REVENUE, MomentMetric.MARGIN, MomentMetric.CONVERSION, MomentMetric.TAKE_RATE})
"""Metrics per exposed unit whose moments carry the past; the acceptance among buyers never is adjusted."""

Pair = tuple[JointMoments, JointMoments]
"""Test variant and control."""


def adjusted(metric: str, everybody: Pair, returning: Pair, look: Look) -> AdjustedReport | None:
    """Return the adjusted difference of a metric, None for one that is not adjusted.

    Units without a past are a stratum of their own. The lift divides by the control's raw mean.

    Args:
        metric: one of `MomentMetric`.
        everybody: moments with the capped revenue of the 28 days before as covariate.
        returning: those of the units that had bought in these days.
        look: decides between sequential and fixed intervals.
    """
    if metric not in ADJUSTED:
        return None
    new = [own - past for own, past in zip(everybody, returning, strict=True)]
    strata = [Stratum(*returning), Stratum(*new)]
    if any(min(stratum.test.n, stratum.control.n) < 2 for stratum in strata):
        strata = [Stratum(*everybody)]
    found, reduction = adjusted_difference(strata, look.half_width)
    control_mean = everybody[1].outcome.mean
    lift = found.value / control_mean if found.value is not None and control_mean else None
    return AdjustedReport(found.value, found.standard_error, found.interval, lift, reduction, found.reason)
