"""Sample ratio: do the variants hold the shares of the units that were planned?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from catalog_experiments.stats.distributions import chi2_sf, logsumexp

LIVE_ALPHA = 0.001
"""Chance of a false alarm over the whole life of a phase."""

_DIRICHLET_WEIGHT = 100.0
_START_WEIGHT = 0.8
_DAYS_WEIGHT = 0.2


class ChiSquare(NamedTuple):
    """Chi-square statistic and its p-value."""

    statistic: float
    p_value: float


def chi_square(counts: Sequence[int], weights: Sequence[float]) -> ChiSquare | None:
    """Return the chi-square test of the counts against the planned weights; for the final report.

    Variants without weight are left out, and take no degree of freedom. None without units or with one variant only.

    Args:
        counts: units per variant.
        weights: planned relative shares in the same order; any positive scale.

    Assumes: looked at once.
    Source: Pearson (1900); Fabijan et al. (2019), KDD.

    >>> result = chi_square([44700, 45489], [1, 1])
    >>> round(result.statistic, 4), round(result.p_value, 6)
    (6.9024, 0.008608)
    """
    kept = [(count, weight) for count, weight in zip(counts, weights, strict=True) if weight > 0]
    units, whole = sum(count for count, _ in kept), sum(weight for _, weight in kept)
    if units == 0 or len(kept) < 2:
        return None
    expected = [(count, units * weight / whole) for count, weight in kept]
    statistic = math.fsum((count - planned) ** 2 / planned for count, planned in expected)
    return ChiSquare(statistic, chi2_sf(statistic, len(kept) - 1))


def same_shares(one: Sequence[int], other: Sequence[int]) -> ChiSquare | None:
    """Return the chi-square test of whether two groups of units fall into the variants alike, whatever the shares are.

    None where a group is empty, or fewer than two variants have any unit.

    Args:
        one: units per variant of the first group.
        other: those of the second, in the same order.

    Assumes: looked at once.
    Source: Pearson (1900), test of homogeneity.

    >>> result = same_shares([20, 30], [400, 200])
    >>> round(result.statistic, 3), round(result.p_value, 5)
    (14.355, 0.00015)
    """
    pooled = [left + right for left, right in zip(one, other, strict=True)]
    results = [chi_square(group, pooled) for group in (one, other)]
    statistic = math.fsum(result.statistic for result in results if result is not None)
    if None in results:
        return None
    return ChiSquare(statistic, chi2_sf(statistic, sum(count > 0 for count in pooled) - 1))


def log_multinomial_e(
    counts: Sequence[int], weights: Sequence[float], *, dirichlet_weight: float = _DIRICHLET_WEIGHT
) -> float:
    """Return log E against the planned shares, valid at any time; an alarm stands at E >= 1 / alpha.

    Args:
        counts: units per variant since a fixed start.
        weights: planned relative shares in the same order, all positive.
        dirichlet_weight: concentration of the mixing distribution at the plan; 100 finds shifts of 2 points soonest.

    Source: Lindon and Malek (2022), arXiv:2011.03567, theorem 1.

    >>> round(math.exp(log_multinomial_e([44700, 45489], [1, 1])), 2)
    1.04
    """
    whole = sum(weights)
    shares = [weight / whole for weight in weights]
    log_e = math.lgamma(dirichlet_weight) - math.lgamma(dirichlet_weight + sum(counts))
    for count, share in zip(counts, shares, strict=True):
        prior = dirichlet_weight * share
        log_e += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return log_e


def log_live_e(daily_counts: Sequence[Sequence[int]], weights: Sequence[float]) -> float:
    """Return log E of the live monitor: evidence since the start, mixed with evidence since each day of the phase.

    The mixture finds a fault that begins late: 0.8 on the start, 0.2 / (k (k + 1)) on day k, the rest on days to come.
    Coverage may change freely, because it scales all variants alike.

    Args:
        daily_counts: first exposures per day of the phase and variant; entry 0 is the time before day block 1 opened.
        weights: planned relative shares per variant, all positive.

    Source: as `log_multinomial_e`; weighted averages of e-processes are e-processes (Vovk and Wang, 2021).

    >>> round(log_live_e([[50, 50]], [1, 1]), 3), log_live_e([[500, 500], [400, 600]], [1, 1]) > math.log(1000)
    (-0.268, True)
    """
    zero = (0,) * len(weights)
    since = list(accumulate(reversed(daily_counts), _added, initial=zero))[:0:-1] or [zero]
    days = len(since) - 1
    terms = [math.log(_START_WEIGHT) + log_multinomial_e(since[0], weights)]
    terms += [math.log(_DAYS_WEIGHT / (k * (k + 1))) + log_multinomial_e(since[k], weights) for k in range(1, days + 1)]
    return logsumexp((*terms, math.log(_DAYS_WEIGHT / (days + 1))))


def _added(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(one + other for one, other in zip(left, right, strict=True))
