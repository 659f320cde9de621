"""What the pause rule `persistent` costs: how often several bad batches in a row come up by chance alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from catalog_experiments.stats.distributions import logsumexp, normal_cdf

_EXACT_UP_TO = 20_000


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """How outcomes fall into batches: `size` outcomes each, `count` batches over the time looked at."""

    size: int
    count: int


def plan_batches(smallest: int, per_hour: float, hours: int) -> BatchPlan:
    """Return the batches cut at whole hours: an hour joins the open batch until it holds the smallest size.

    >>> plan_batches(50, 120.0, 24), plan_batches(50, 20.0, 24)
    (BatchPlan(size=120, count=24), BatchPlan(size=60, count=8))
    """
    if per_hour <= 0:
        return BatchPlan(smallest, 0)
    hours_of_batch = max(1, math.ceil(smallest / per_hour))
    return BatchPlan(max(smallest, round(per_hour * hours_of_batch)), hours // hours_of_batch)


def chance_of_bad_batch(rate: float, threshold: float, size: int, *, is_maximum: bool = False) -> float:
    """Return the chance that a batch misses the bound although the true rate is `rate`, both fractions in (0, 1).

    Exact binomial up to 20,000 outcomes, normal with continuity correction beyond.

    >>> round(chance_of_bad_batch(0.11, 0.1, 50), 4)
    0.3438
    """
    if is_maximum:
        return chance_of_bad_batch(1 - rate, 1 - threshold, size)
    # Strictly below the bound; the tiny margin keeps 0.1 * 50 from becoming 5.000000000000001.
    most = math.ceil(threshold * size - 1e-9) - 1
    if size > _EXACT_UP_TO:
        return normal_cdf((most + 0.5 - size * rate) / math.sqrt(size * rate * (1 - rate)))
    hit, miss = math.log(rate), math.log1p(-rate)
    return min(1.0, math.exp(logsumexp(_log_choose(size, k) + k * hit + (size - k) * miss for k in range(most + 1))))


def chance_of_run(bad: float, batches: int, consecutive: int) -> float:
    """Return the chance that independent batches, each bad with chance `bad`, ever show `consecutive` bad in a row.

    Source: Feller (1968), An Introduction to Probability Theory I, XIII.7: success runs, here as a Markov chain.

    >>> chance_of_run(0.5, 2, 2), round(chance_of_run(0.5, 3, 2), 4)
    (0.25, 0.375)
    """
    # Entry k: no run yet, and the last k batches were bad.
    waiting, seen = [1.0] + [0.0] * (consecutive - 1), 0.0
    for _ in range(batches):
        seen += waiting[-1] * bad
        waiting = [sum(waiting) * (1 - bad), *(chance * bad for chance in waiting[:-1])]
    return min(1.0, seen)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
