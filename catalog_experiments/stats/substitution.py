"""Cannibalization: how many pieces bought apart each piece bought in the bundle replaces."""

from __future__ import annotations

import math

from catalog_experiments.stats.effects import TOO_FEW, Estimate, HalfWidth, Interval, difference
from catalog_experiments.stats.moments import JointMoments

NO_MORE_BUNDLED = "the bundle does not clearly sell more pieces than the control"


def substitution(test: JointMoments, control: JointMoments, half_width: HalfWidth) -> Estimate:
    """Return minus the change of pieces bought apart per change of pieces bought in the bundle, both per unit.

    1 means that every piece of the bundle replaces one that would have been bought anyway, 0 that all are new. None
    with a reason unless the interval of the denominator excludes 0.

    Args:
        test: per unit, pieces bought apart and, as the covariate, pieces bought in the bundle.
        control: the same of the control.
        half_width: decides between a single look and any number of them.

    Assumes: the randomized units; enough of them for normal quantiles.
    Source: delta method for a ratio of two differences; Deng, Knoblich, Lu (2018), arXiv:1803.06336, section 3.

    >>> from catalog_experiments.stats.effects import fixed_half_width
    >>> test = JointMoments.of([(0, 2), (1, 2), (0, 2), (1, 0)] * 100)
    >>> control = JointMoments.of([(1, 0), (1, 0), (1, 0), (2, 0)] * 100)
    >>> round(substitution(test, control, fixed_half_width(0.05)).value, 4)
    0.5
    """
    apart = difference(test.outcome, control.outcome, half_width)
    bundled = difference(test.covariate, control.covariate, half_width)
    if apart.value is None or bundled.value is None or bundled.interval is None:
        return Estimate(None, reason=TOO_FEW)
    if not bundled.interval.excludes(0):
        return Estimate(None, reason=NO_MORE_BUNDLED)
    value = -apart.value / bundled.value
    standard_error = math.sqrt(_variance(value, test) + _variance(value, control)) / abs(bundled.value)
    half = half_width(standard_error, test.n + control.n)
    return Estimate(value, standard_error, Interval(value - half, value + half))


def _variance(value: float, moments: JointMoments) -> float:
    """Return the variance of the mean of `apart + value * bundled`."""
    apart, bundled = moments.outcome.variance or 0.0, moments.covariate.variance or 0.0
    shared = moments.covariance or 0.0
    return max(0.0, apart + value**2 * bundled + 2 * value * shared) / moments.n
