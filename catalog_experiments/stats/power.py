"""Planning: how many units, how small an effect, how many days."""

from __future__ import annotations

import math
from typing import NamedTuple

from catalog_experiments.stats.distributions import normal_quantile

DAYS_PER_WEEK = 7
SHORTEST_WEEKS = 2


class Duration(NamedTuple):
    """Days units are enrolled (whole weeks, at least two), and days until the verdict, the last window included."""

    enrollment_days: int
    verdict_days: int


def sample_size(baseline_rate: float, expected_rate: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return the units needed per variant to tell two rates apart, both sides, looked at once.

    Raises:
        ValueError: equal rates, or a rate outside (0, 1).

    Source: Fleiss, Levin, Paik (2003), section 4.2, as R's power.prop.test.

    >>> sample_size(0.10, 0.12), sample_size(0.10, 0.11)
    (3841, 14751)
    """
    if baseline_rate == expected_rate or not (0 < baseline_rate < 1 and 0 < expected_rate < 1):
        raise ValueError("Two different rates strictly between 0 and 1 are needed.")
    pooled = (baseline_rate + expected_rate) / 2
    spread = baseline_rate * (1 - baseline_rate) + expected_rate * (1 - expected_rate)
    reach = normal_quantile(1 - alpha / 2) * math.sqrt(2 * pooled * (1 - pooled))
    reach += normal_quantile(power) * math.sqrt(spread)
    return math.ceil((reach / (expected_rate - baseline_rate)) ** 2)


def sample_size_of_means(
    standard_deviation: float, difference: float, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Return the units needed per variant to see a difference of means, in the unit of the standard deviation.

    Raises:
        ValueError: no difference.

    Source: Fleiss, Levin, Paik (2003), section 4.2, with equal variances.

    >>> sample_size_of_means(10, 1)
    1570
    """
    if difference == 0:
        raise ValueError("A difference other than 0 is needed.")
    reach = normal_quantile(1 - alpha / 2) + normal_quantile(power)
    return math.ceil(2 * (reach * standard_deviation / difference) ** 2)


def mde(baseline_rate: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Return the smallest rise of a rate that n units per variant can find, as a difference; None when none can be.

    Raises:
        ValueError: the baseline lies outside (0, 1).

    Source: `sample_size`, solved for the expected rate by bisection.

    >>> round(mde(0.10, 3841), 4), mde(0.5, 3)
    (0.02, None)
    """
    low, high = baseline_rate, 1 - 1e-12
    if sample_size(baseline_rate, high, alpha=alpha, power=power) > n:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        if middle == baseline_rate or sample_size(baseline_rate, middle, alpha=alpha, power=power) > n:
            low = middle
        else:
            high = middle
    return high - baseline_rate


def days_to_verdict(
    sample_per_variant: int, variants: int, daily_units: float, *, window_days: int = 7, coverage: float = 1.0
) -> Duration | None:
    """Return how long an experiment runs until its planned sample is complete; None without traffic.

    Args:
        sample_per_variant: complete units per variant.
        variants: number of variants, the control included.
        daily_units: new units a day on the product page.
        window_days: attribution window that the last unit still needs.
        coverage: share of the units enrolled, in [0, 1].

    >>> days_to_verdict(3841, 2, 400)
    Duration(enrollment_days=21, verdict_days=28)
    """
    enrolled_daily = daily_units * coverage
    if enrolled_daily <= 0:
        return None
    days = math.ceil(sample_per_variant * variants / enrolled_daily)
    weeks = max(SHORTEST_WEEKS, math.ceil(days / DAYS_PER_WEEK))
    return Duration(weeks * DAYS_PER_WEEK, weeks * DAYS_PER_WEEK + window_days)
