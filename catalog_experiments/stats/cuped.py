"""CUPED: less noise in a difference of means, by what was known of each unit before its first exposure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from catalog_experiments.stats.effects import TOO_FEW, Estimate, HalfWidth, Interval
from catalog_experiments.stats.moments import JointMoments, VariantMoments


class Stratum(NamedTuple):
    """Units of both variants with one kind of past, such as "no history"; the covariate is their past value."""

    test: JointMoments
    control: JointMoments

    @property
    def n(self) -> int:
        """Units of both variants."""
        return self.test.n + self.control.n


class Adjustment(NamedTuple):
    """The adjusted difference, test minus control, and the share of the raw variance that went away."""

    estimate: Estimate
    variance_reduction: float | None


def adjusted_difference(strata: Sequence[Stratum], half_width: HalfWidth) -> Adjustment:
    """Return the difference of mean outcomes, adjusted within each stratum and weighted by the strata's sizes.

    Theta is estimated within variants, so an effect on the covariate's relation cannot leak into it. The reduction is
    negative when the adjustment did harm. All None with a reason when a stratum has fewer than two units in a variant.

    Assumes: the covariate was fixed before the first exposure of each unit.
    Source: Deng, Xu, Kohavi, Walker (2013), WSDM, section 3; strata as in their section 3.1.

    >>> from catalog_experiments.stats.effects import fixed_half_width
    >>> stratum = Stratum(JointMoments.of([(3, 1), (5, 2), (7, 3)]), JointMoments.of([(2, 1), (4, 2), (7, 3)]))
    >>> adjustment = adjusted_difference([stratum], fixed_half_width(0.05))
    >>> round(adjustment.estimate.value, 4), round(adjustment.variance_reduction, 3)
    (0.6667, 0.98)
    """
    strata = [stratum for stratum in strata if stratum.n]
    units = sum(stratum.n for stratum in strata)
    if not strata or any(min(stratum.test.n, stratum.control.n) < 2 for stratum in strata):
        return Adjustment(Estimate(None, reason=TOO_FEW), None)
    value = math.fsum(stratum.n / units * _difference(stratum, _theta(stratum)) for stratum in strata)
    variance = math.fsum((stratum.n / units) ** 2 * _variance(stratum, _theta(stratum)) for stratum in strata)
    raw = _raw_variance(strata)
    half = half_width(math.sqrt(variance), units)
    estimate = Estimate(value, math.sqrt(variance), Interval(value - half, value + half))
    return Adjustment(estimate, 1 - variance / raw if raw > 0 else None)


def _theta(stratum: Stratum) -> float:
    variants = (stratum.test, stratum.control)
    spread = math.fsum((each.n - 1) * (each.covariate.variance or 0.0) for each in variants)
    shared = math.fsum((each.n - 1) * (each.covariance or 0.0) for each in variants)
    return shared / spread if spread > 0 else 0.0


def _difference(stratum: Stratum, theta: float) -> float:
    test, control = stratum
    return _adjusted_mean(test, theta) - _adjusted_mean(control, theta)


def _adjusted_mean(moments: JointMoments, theta: float) -> float:
    return moments.total / moments.n - theta * moments.covariate_total / moments.n


def _variance(stratum: Stratum, theta: float) -> float:
    return math.fsum(_adjusted_variance(each, theta) / each.n for each in stratum)


def _adjusted_variance(moments: JointMoments, theta: float) -> float:
    outcome, covariate = moments.outcome.variance or 0.0, moments.covariate.variance or 0.0
    return max(0.0, outcome + theta**2 * covariate - 2 * theta * (moments.covariance or 0.0))


def _raw_variance(strata: Sequence[Stratum]) -> float:
    test = sum((stratum.test.outcome for stratum in strata), VariantMoments())
    control = sum((stratum.control.outcome for stratum in strata), VariantMoments())
    return math.fsum(pooled.squared_standard_error or 0.0 for pooled in (test, control))
