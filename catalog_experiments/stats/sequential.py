"""Intervals and p-values that stay valid however often they are looked at: confidence sequences.

Everything is computed in logarithms; counts up to 10^9 neither overflow nor give NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from catalog_experiments.stats.distributions import log_beta
from catalog_experiments.stats.effects import HalfWidth, Interval


def always_valid_p(log_e: float) -> float:
    """Return the p-value that may be read at any time, from the largest log E seen so far; at most 1.

    >>> round(always_valid_p(math.log(20)), 6), always_valid_p(-3.0)
    (0.05, 1.0)
    """
    return min(1.0, math.exp(-max(log_e, 0.0)))


def beta_binomial_sequence(accepted: int, n: int, alpha: float, *, a: float = 1.0, b: float = 1.0) -> Interval:
    """Return an interval for one rate that holds at all times at once: the confidence sequence of a beta mixture.

    Args:
        accepted: acceptances among the n outcomes.
        n: outcomes since a fixed start; the interval is (0, 1) without any.
        alpha: chance in (0, 1) that the true rate is ever outside.
        a: first parameter of the mixing beta distribution, above 0.
        b: second parameter, above 0.

    Source: Robbins (1970); Howard et al. (2021), arXiv:1810.08240, section 4.2.

    >>> interval = beta_binomial_sequence(100, 1000, 0.05)
    >>> round(interval.lower, 4), round(interval.upper, 4)
    (0.0688, 0.1384)
    """
    if n == 0:
        return Interval(0.0, 1.0)
    rate = accepted / n
    prior = log_beta(a + accepted, b + n - accepted) - log_beta(a, b) + math.log(alpha)

    def is_outside(rate_tried: float) -> bool:
        return prior >= _weighted_log(accepted, rate_tried) + _weighted_log(n - accepted, 1 - rate_tried)

    lower = 0.0 if accepted == 0 else _edge(is_outside, 0.0, rate)
    upper = 1.0 if accepted == n else _edge(is_outside, 1.0, rate)
    return Interval(lower, upper)


def _weighted_log(count: int, share: float) -> float:
    if count == 0:
        return 0.0
    return count * math.log(share) if share > 0 else -math.inf


def _edge(is_outside: Callable[[float], bool], outside: float, inside: float) -> float:
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if is_outside(middle) else (outside, middle)
    return outside


def tuning_rho(planned_n: int, alpha: float, *, one_sided: bool = False) -> float:
    """Return the rho that makes an asymptotic sequence tightest at the planned total sample, fixed before the start.

    Source: Waudby-Smith et al., arXiv:2103.06476, eq. 161 (with 2 alpha for one side).

    >>> round(tuning_rho(5000, 0.05), 6)
    0.03984
    """
    level = -2 * math.log(2 * alpha if one_sided else alpha)
    return math.sqrt((level + math.log(level + 1)) / planned_n)


def asymptotic_half_width(standard_error: float, n: int, *, rho: float, alpha: float, one_sided: bool = False) -> float:
    """Return how far an estimate may lie from the truth at any time: half the width of the asymptotic sequence.

    Proportional to the standard error. Infinite without units.

    Args:
        standard_error: of the estimate, in its own unit.
        n: units behind it, both variants together.
        rho: see `tuning_rho`.
        alpha: chance in (0, 1) that the truth is ever farther away; below 0.5 for one side.
        one_sided: a limit on one side only.

    Assumes: large samples; show from 100 units and 20 successes per variant.
    Source: Waudby-Smith et al., arXiv:2103.06476, eq. 9 (two sides) and eq. 134 (one side).

    >>> round(asymptotic_half_width(0.01, 5000, rho=tuning_rho(5000, 0.05), alpha=0.05), 6)
    0.030352
    """
    if n == 0:
        return math.inf
    spread = n * rho * rho
    root = math.sqrt(spread + 1)
    logarithm = math.log1p(root / (2 * alpha)) if one_sided else math.log(root / alpha)
    return standard_error * math.sqrt(2 * (spread + 1) / spread * logarithm)


def asymptotic_p(estimate: float, standard_error: float, n: int, *, rho: float) -> float:
    """Return the two-sided always-valid p-value of an estimate against 0; 1.0 without spread or units.

    It is at most alpha exactly when `asymptotic_half_width` at alpha is at most the estimate's distance from 0.

    Source: Waudby-Smith et al., arXiv:2103.06476, eq. 155.

    >>> round(asymptotic_p(0.030352, 0.01, 5000, rho=tuning_rho(5000, 0.05)), 4)
    0.05
    """
    if n == 0 or standard_error <= 0:
        return 1.0
    spread = n * rho * rho
    z_squared = (estimate / standard_error) ** 2
    return always_valid_p(spread * z_squared / (2 * (spread + 1)) - math.log(spread + 1) / 2)


def sequential_half_width(planned_n: int, alpha: float, *, one_sided: bool = False) -> HalfWidth:
    """Return the half width of a sequence tuned to the planned total sample, for `difference` and `lift_by_inversion`.

    >>> round(sequential_half_width(5000, 0.05)(0.01, 5000), 6)
    0.030352
    """
    rho = tuning_rho(planned_n, alpha, one_sided=one_sided)
    return lambda standard_error, n: asymptotic_half_width(standard_error, n, rho=rho, alpha=alpha, one_sided=one_sided)
