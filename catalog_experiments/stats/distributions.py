"""Distribution functions that the other modules need, in closed form with `math` alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

_NORMAL = NormalDist()


def normal_cdf(x: float) -> float:
    """Return the chance that a standard normal value is at most x, accurate in both tails.

    >>> round(normal_cdf(1.959964), 6)
    0.975
    """
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(probability: float) -> float:
    """Return the x below which a standard normal value lies with the given probability in (0, 1).

    Raises:
        statistics.StatisticsError: the probability is 0, 1 or outside.

    >>> round(normal_quantile(0.975), 6)
    1.959964
    """
    return _NORMAL.inv_cdf(probability)


def normal_density(x: float) -> float:
    """Return the density of the standard normal distribution.

    >>> round(normal_density(0), 6)
    0.398942
    """
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def two_sided_p(z: float) -> float:
    """Return the two-sided p-value of a z score, in [0, 1].

    >>> round(two_sided_p(-1.959964), 6)
    0.05
    """
    return math.erfc(abs(z) / math.sqrt(2))


def chi2_sf(statistic: float, degrees: int) -> float:
    """Return the chance that a chi-square value exceeds the statistic.

    Args:
        statistic: 0 or more.
        degrees: degrees of freedom, 1 or more.

    Raises:
        ValueError: negative statistic, or no degrees of freedom.

    Source: Abramowitz and Stegun (1964), 26.4.4 and 26.4.5: finite sums for odd and even degrees.

    >>> round(chi2_sf(3.841459, 1), 6), round(chi2_sf(5.991465, 2), 6)
    (0.05, 0.05)
    """
    if statistic < 0 or degrees < 1:
        raise ValueError("A chi-square statistic is at least 0, with at least 1 degree of freedom.")
    half = statistic / 2
    if half == 0:
        return 1.0
    offset = 0.5 * (degrees % 2)
    # Each summand through logs: half ** j alone overflows for large statistics.
    powers = (j - offset for j in range(1 if offset else 0, (degrees + 1) // 2 if offset else degrees // 2))
    summed = sum(math.exp(power * math.log(half) - half - math.lgamma(power + 1)) for power in powers)
    return min(1.0, summed + (math.erfc(math.sqrt(half)) if offset else 0.0))


def log_beta(a: float, b: float) -> float:
    """Return the logarithm of the beta function for positive a and b.

    >>> round(log_beta(2, 3), 6) == round(math.log(1 / 12), 6)
    True
    """
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def logsumexp(logs: Iterable[float]) -> float:
    """Return the logarithm of a sum given the logarithms of its terms; minus infinity for no terms.

    >>> logsumexp([-1000, -1000]) == -1000 + math.log(2)
    True
    """
    values = tuple(logs)
    peak = max(values, default=-math.inf)
    if math.isinf(peak):
        return peak
    return peak + math.log(sum(math.exp(value - peak) for value in values))
