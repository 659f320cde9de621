"""One metric of a test variant against the control: sequential while running, fixed at the planned end."""

from __future__ import annotations

from dataclasses import dataclass

from catalog_experiments.models import MomentMetric
from catalog_experiments.stats.distributions import two_sided_p
from catalog_experiments.stats.effects import (
    Estimate,
    Interval,
    ZTest,
    difference,
    lift_by_inversion,
    newcombe_interval,
    relative_lift,
    two_proportion_z,
)
from catalog_experiments.stats.looks import Look
from catalog_experiments.stats.moments import VariantMoments

MONEY = frozenset(
    {
        MomentMetric.REVENUE,
        MomentMetric.MARGIN,
        MomentMetric.RAW_REVENUE,
        MomentMetric.RAW_MARGIN,
        MomentMetric.HARM_REVENUE,
    }
)
"""Metrics in minor units; all others compared as means are 0 or 1 per unit."""


@dataclass(frozen=True, slots=True)
class AdjustedReport:
    """A difference adjusted by past revenue (CUPED), beside the raw one, never instead of it.

    `variance_reduction` is the share of the raw variance that went away, negative when the adjustment did harm. All
    None with a reason when undefined.
    """

    difference: float | None
    standard_error: float | None
    interval: Interval | None
    relative_lift: float | None
    variance_reduction: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MetricReport:
    """One metric of one variant over complete units; money in minor units, rates as fractions.

    Everything against control is None for the control itself and where `reason` says why. `z` and `p_value` belong to
    a single look and are None before the planned end. `is_mature` says that the gate of units and successes is passed:
    before, the interval is None. A ratio's mean is the ratio itself; cannibalization has none, its `difference` is the
    pieces that each bundled piece replaces.
    """

    metric: str
    n: int
    mean: float | None
    difference: float | None = None
    standard_error: float | None = None
    interval: Interval | None = None
    z: float | None = None
    p_value: float | None = None
    relative_lift: float | None = None
    relative_interval: Interval | None = None
    is_mature: bool = False
    reason: str = ""
    adjusted: AdjustedReport | None = None


def describe(metric: str, moments: VariantMoments, shortfall: str) -> MetricReport:
    """Return the report of a metric without comparison, as for the control."""
    return MetricReport(metric, moments.n, moments.mean, is_mature=not shortfall, reason=shortfall)


def compare(metric: str, test: VariantMoments, control: VariantMoments, look: Look, shortfall: str) -> MetricReport:
    """Return the report of a test variant's metric against the control's.

    Args:
        metric: one of `MomentMetric`.
        test: moments of the test variant's complete units.
        control: moments of the control's.
        look: decides between sequential and fixed methods.
        shortfall: why intervals and scores must not be shown yet; empty when they may.
    """
    contrast = difference(test, control, look.half_width)
    lift = relative_lift(test, control) if look.is_final else lift_by_inversion(test, control, look.half_width)
    score = _score(metric, test, control, contrast) if look.is_final and not shortfall else None
    return MetricReport(
        metric=metric,
        n=test.n,
        mean=test.mean,
        difference=contrast.value,
        standard_error=contrast.standard_error,
        interval=None if shortfall else _interval(metric, test, control, contrast, look),
        z=score.z if score else None,
        p_value=score.p_value if score else None,
        relative_lift=lift.value,
        relative_interval=None if shortfall else lift.interval,
        is_mature=not shortfall,
        reason=shortfall or contrast.reason or lift.reason,
    )


def _interval(
    metric: str, test: VariantMoments, control: VariantMoments, contrast: Estimate, look: Look
) -> Interval | None:
    if look.is_final and metric not in MONEY:
        return newcombe_interval(test, control)
    return contrast.interval


def _score(metric: str, test: VariantMoments, control: VariantMoments, contrast: Estimate) -> ZTest | None:
    if metric not in MONEY:
        return two_proportion_z(test, control)
    if not contrast.standard_error or contrast.value is None:
        return None
    z = contrast.value / contrast.standard_error
    return ZTest(z, two_sided_p(z))
