"""Do orders still find the visitor who placed them? The join rate, and when its fall is no chance."""

from __future__ import annotations

import math
from typing import NamedTuple

from catalog_experiments.stats.silence import IMPOSSIBLE

FEWEST_ORDERS = 100
"""Orders a rate must rest on before it is compared."""


class JoinCounts(NamedTuple):
    """Orders of the anchor product, and those of them whose unit met the phase."""

    joined: int = 0
    orders: int = 0

    @property
    def rate(self) -> float | None:
        """Share of the orders that join, in [0, 1]; None without orders."""
        return self.joined / self.orders if self.orders else None


def log_chance_of_so_few(successes: int, trials: int, rate: float) -> float:
    """Return the log of an upper bound on the chance of so few successes or fewer; 0 where it is not below `rate`.

    Args:
        successes: how many of `trials` succeeded.
        trials: 1 or more.
        rate: the chance of each, in (0, 1].

    Assumes: independent trials.
    Source: Chernoff (1952): P(S <= s) <= exp(-n KL(s/n, p)).

    >>> round(log_chance_of_so_few(40, 100, 0.8), 2), log_chance_of_so_few(80, 100, 0.8)
    (-38.19, 0.0)
    """
    share = successes / trials
    if share >= rate:
        return 0.0
    lost = (1 - share) * math.log((1 - share) / (1 - rate)) if rate < 1 else math.inf
    kept = share * math.log(share / rate) if share else 0.0
    return -trials * (kept + lost)


def has_fallen(recent: JoinCounts, usual: float, *, to: float) -> bool:
    """Say whether the join rate fell to the fraction `to` of the usual one or below, beyond chance.

    >>> has_fallen(JoinCounts(120, 200), 0.8, to=0.8), has_fallen(JoinCounts(6, 10), 0.8, to=0.8)
    (True, False)
    """
    if recent.orders < FEWEST_ORDERS or usual <= 0 or recent.joined > to * usual * recent.orders:
        return False
    return log_chance_of_so_few(recent.joined, recent.orders, usual) < math.log(IMPOSSIBLE)
