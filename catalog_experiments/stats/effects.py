"""Estimates with their uncertainty: one rate, two variants against each other, ratios and relative lifts.

A question without an answer is None, or an `Estimate` whose `reason` says why; never 0, never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from catalog_experiments.stats.distributions import normal_quantile, two_sided_p
from catalog_experiments.stats.moments import JointMoments, VariantMoments

HalfWidth = Callable[[float, int], float]
"""Half width of an interval from (standard error, units of both variants); proportional to the standard error."""

NO_CONTROL = "the control's mean is 0 or unknown"
TOO_FEW = "fewer than two units in a variant"
CONTROL_TOUCHES_ZERO = "the control's own interval touches 0"
NO_DENOMINATOR = "the denominator is 0 or unknown"


class Interval(NamedTuple):
    """Lower and upper end, in the unit of the estimate."""

    lower: float
    upper: float

    def excludes(self, value: float) -> bool:
        """Say whether the value lies strictly outside."""
        return not self.lower <= value <= self.upper


class ZTest(NamedTuple):
    """Score of a normal test and its two-sided p-value."""

    z: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with standard error and interval; all None with a reason when undefined."""

    value: float | None
    standard_error: float | None = None
    interval: Interval | None = None
    reason: str = ""


def fixed_half_width(alpha: float) -> HalfWidth:
    """Return the half width of an interval that is looked at once: the normal quantile times the standard error.

    >>> round(fixed_half_width(0.05)(1.0, 1000), 6)
    1.959964
    """
    quantile = normal_quantile(1 - alpha / 2)
    return lambda standard_error, _n: quantile * standard_error


def wilson_interval(successes: int, n: int, alpha: float = 0.05) -> Interval | None:
    """Return the interval of one rate for display; None without units.

    Source: Wilson (1927), JASA 22.

    >>> interval = wilson_interval(10, 100)
    >>> round(interval.lower, 6), round(interval.upper, 6)
    (0.055229, 0.174366)
    """
    if n == 0:
        return None
    z_squared = normal_quantile(1 - alpha / 2) ** 2
    rate, scale = successes / n, 1 + z_squared / n
    center = (rate + z_squared / (2 * n)) / scale
    half = math.sqrt(z_squared * (rate * (1 - rate) / n + z_squared / (4 * n * n))) / scale
    # The exact ends at 0 and n are 0 and 1; rounding must not leave a hair beyond or short of them.
    lower = 0.0 if successes == 0 else max(0.0, center - half)
    return Interval(lower, 1.0 if successes == n else min(1.0, center + half))


def two_proportion_z(test: VariantMoments, control: VariantMoments) -> ZTest | None:
    """Return the pooled test of two rates; None when a variant is empty or all units agree.

    Assumes: looked at once, at the planned end.
    Source: Fleiss, Levin, Paik (2003), section 3.2, without continuity correction.

    >>> result = two_proportion_z(VariantMoments.of_counts(8279, 45489), VariantMoments.of_counts(8502, 44700))
    >>> round(result.z, 4), round(result.p_value, 5)
    (-3.1644, 0.00155)
    """
    if not test.n or not control.n:
        return None
    pooled = (test.total + control.total) / (test.n + control.n)
    squared_error = pooled * (1 - pooled) * (1 / test.n + 1 / control.n)
    if squared_error <= 0:
        return None
    z = (test.total / test.n - control.total / control.n) / math.sqrt(squared_error)
    return ZTest(z, two_sided_p(z))


def newcombe_interval(test: VariantMoments, control: VariantMoments, alpha: float = 0.05) -> Interval | None:
    """Return the interval of the difference of two rates, test minus control; None when a variant is empty.

    Source: Newcombe (1998), Statistics in Medicine 17:873, method 10.

    >>> interval = newcombe_interval(VariantMoments.of_counts(56, 70), VariantMoments.of_counts(48, 80))
    >>> round(interval.lower, 4), round(interval.upper, 4)
    (0.0524, 0.3339)
    """
    test_interval = wilson_interval(int(test.total), test.n, alpha)
    control_interval = wilson_interval(int(control.total), control.n, alpha)
    if test_interval is None or control_interval is None:
        return None
    test_rate, control_rate = test.total / test.n, control.total / control.n
    below = math.hypot(test_rate - test_interval.lower, control_interval.upper - control_rate)
    above = math.hypot(test_interval.upper - test_rate, control_rate - control_interval.lower)
    return Interval(test_rate - control_rate - below, test_rate - control_rate + above)


def difference(
    test: VariantMoments, control: VariantMoments, half_width: HalfWidth, *, retained: float = 1.0
) -> Estimate:
    """Return test mean minus `retained` times control mean; 1 for the plain difference, 1 - d for a drop of d.

    Assumes: enough units for normal quantiles (100 per variant).
    Source: Welch (1947).

    >>> estimate = difference(VariantMoments.of([3, 4, 5]), VariantMoments.of([1, 2, 3]), fixed_half_width(0.05))
    >>> estimate.value, round(estimate.standard_error, 4)
    (2.0, 0.8165)
    """
    test_square, control_square = test.squared_standard_error, control.squared_standard_error
    if test_square is None or control_square is None:
        return Estimate(None, reason=TOO_FEW)
    value = test.total / test.n - retained * control.total / control.n
    return _estimate(value, math.sqrt(test_square + retained**2 * control_square), test.n + control.n, half_width)


def relative_lift(test: VariantMoments, control: VariantMoments, alpha: float = 0.05) -> Estimate:
    """Return the lift of the test mean over the control mean as a fraction (0.12 is +12 %), by the delta method.

    Assumes: looked at once, at the planned end.
    Source: Deng, Knoblich, Lu (2018), arXiv:1803.06336, section 3.

    >>> lift = relative_lift(VariantMoments.of_counts(120, 1000), VariantMoments.of_counts(100, 1000))
    >>> round(lift.value, 4), round(lift.standard_error, 4)
    (0.2, 0.1534)
    """
    if not control.n or control.total == 0:
        return Estimate(None, reason=NO_CONTROL)
    test_square, control_square = test.squared_standard_error, control.squared_standard_error
    if test_square is None or control_square is None:
        return Estimate(None, reason=TOO_FEW)
    ratio, control_mean = _ratio_of_means(test, control), control.total / control.n
    standard_error = math.sqrt(test_square + ratio**2 * control_square) / abs(control_mean)
    return _estimate(ratio - 1, standard_error, test.n + control.n, fixed_half_width(alpha))


def lift_by_inversion(test: VariantMoments, control: VariantMoments, half_width: HalfWidth) -> Estimate:
    """Return the relative lift with the interval {L: the interval of `m_t - (1 + L) m_c` contains 0}.

    With a fixed half width this is Fieller's interval, with a sequential one it may be looked at any time. The value
    stays when only the interval is undefined; the reason says why.

    Source: Fieller (1954); the contrast is linear, so any valid half width stays valid under the inversion.

    >>> test, control = VariantMoments.of_counts(1200, 10000), VariantMoments.of_counts(1000, 10000)
    >>> lift = lift_by_inversion(test, control, fixed_half_width(0.05))
    >>> round(lift.value, 4), round(lift.interval.lower, 4), round(lift.interval.upper, 4)
    (0.2, 0.1088, 0.2995)
    """
    if not control.n or not test.n or control.total == 0:
        return Estimate(None, reason=NO_CONTROL)
    ratio = _ratio_of_means(test, control)
    test_square, control_square = test.squared_standard_error, control.squared_standard_error
    if test_square is None or control_square is None:
        return Estimate(ratio - 1, reason=TOO_FEW)
    squared_factor = half_width(1.0, test.n + control.n) ** 2
    test_mean, control_mean = test.total / test.n, control.total / control.n
    # |m_t - r m_c| <= factor * se(r) is a quadratic inequality in r = 1 + L.
    leading = control_mean**2 - squared_factor * control_square
    if not leading > 0:
        return Estimate(ratio - 1, reason=CONTROL_TOUCHES_ZERO)
    constant = test_mean**2 - squared_factor * test_square
    root = math.sqrt(max(0.0, (test_mean * control_mean) ** 2 - leading * constant))
    middle = test_mean * control_mean
    return Estimate(ratio - 1, None, Interval((middle - root) / leading - 1, (middle + root) / leading - 1))


def ratio(moments: JointMoments, half_width: HalfWidth) -> Estimate:
    """Return mean outcome over mean covariate of one variant: revenue per order, items per order.

    Assumes: the units are the randomized ones; both sums belong to the same units.
    Source: Deng, Knoblich, Lu (2018), arXiv:1803.06336, section 3.

    >>> estimate = ratio(JointMoments.of([(10, 1), (30, 2), (20, 2)]), fixed_half_width(0.05))
    >>> estimate.value, round(estimate.standard_error, 4)
    (12.0, 1.833)
    """
    if not moments.n or moments.covariate_total == 0:
        return Estimate(None, reason=NO_DENOMINATOR)
    value = moments.total / moments.covariate_total
    outcome, covariate, shared = moments.outcome.variance, moments.covariate.variance, moments.covariance
    if outcome is None or covariate is None or shared is None:
        return Estimate(value, reason=TOO_FEW)
    variance = max(0.0, outcome + value**2 * covariate - 2 * value * shared)
    standard_error = math.sqrt(variance / moments.n) / abs(moments.covariate_total / moments.n)
    return _estimate(value, standard_error, moments.n, half_width)


def ratio_difference(test: JointMoments, control: JointMoments, half_width: HalfWidth) -> Estimate:
    """Return the test variant's ratio minus the control's, with both standard errors combined."""
    test_ratio, control_ratio = ratio(test, half_width), ratio(control, half_width)
    if test_ratio.value is None or test_ratio.standard_error is None:
        return Estimate(None, reason=test_ratio.reason)
    if control_ratio.value is None or control_ratio.standard_error is None:
        return Estimate(None, reason=control_ratio.reason)
    standard_error = math.hypot(test_ratio.standard_error, control_ratio.standard_error)
    return _estimate(test_ratio.value - control_ratio.value, standard_error, test.n + control.n, half_width)


def _ratio_of_means(test: VariantMoments, control: VariantMoments) -> float:
    return (test.total * control.n) / (control.total * test.n)


def _estimate(value: float, standard_error: float, n: int, half_width: HalfWidth) -> Estimate:
    half = half_width(standard_error, n)
    return Estimate(value, standard_error, Interval(value - half, value + half))
