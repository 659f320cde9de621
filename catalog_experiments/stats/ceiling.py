"""A ceiling over the guardrails' evidence that grows hour by hour at a constant price: for replays of long histories.

While the ceiling lies below the pause line, so does the evidence itself, and nothing else has to be computed.
"""

from __future__ import annotations

import math
from math import exp

from catalog_experiments.stats.blocks import DAY_WEIGHT, HOUR_WEIGHT, HOURS_PER_DAY, START_WEIGHT
from catalog_experiments.stats.mixture import likelihood_terms

_ROUNDING = 1 + 1e-9
_SMALLEST = 5e-324


class EvidenceCeiling:
    """The mixture of `mixture.mixture_evidence`, but hour blocks older than 48 hours are kept: never below it.

    All blocks that share an alternative grow by the same factor, so their sum is carried from hour to hour.

    Assumes: the phase's hours are added in order, from the one it began in, without a gap.
    Source: as `mixture.mixture_evidence`; a dropped block counts 0, so keeping it can only raise the sum.

    >>> ceiling = EvidenceCeiling(0.1)
    >>> [round(ceiling.add_hour(54, 0), 1), round(ceiling.add_hour(10, 0), 1)]
    [21.3, 51.9]
    """

    def __init__(self, bound: float) -> None:
        """Begin a phase; `bound` is a least rate, strictly between 0 and 1."""
        self._bound = bound
        self._start_terms, self._block_terms = likelihood_terms(bound)
        self._hour, self._accepted, self._refused = 0, 0, 0
        self._start = START_WEIGHT
        self._blocks = [0.0] * len(self._block_terms)

    def add_hour(self, n: int, accepted: int) -> float:
        """Count the next hour's outcomes and return the ceiling of E at its end; infinity past the largest float."""
        if self._hour:
            self._open_block()
        if n:
            self._weigh(accepted, n - accepted)
        self._hour += 1
        return _ROUNDING * (self._start + sum(self._blocks) / len(self._blocks) + self._constant())

    def _open_block(self) -> None:
        hour, day = self._hour, self._hour // HOURS_PER_DAY
        weight = HOUR_WEIGHT / (hour * (hour + 1))
        if hour % HOURS_PER_DAY == 0:
            weight += DAY_WEIGHT / (day * (day + 1))
        self._blocks = [block + weight for block in self._blocks]

    def _constant(self) -> float:
        # Of the blocks opened before this hour; one that opens now, still empty, only moves its weight.
        return HOUR_WEIGHT / self._hour + DAY_WEIGHT / ((self._hour - 1) // HOURS_PER_DAY + 1)

    def _weigh(self, accepted: int, refused: int) -> None:
        self._accepted, self._refused = self._accepted + accepted, self._refused + refused
        self._start = START_WEIGHT * self._start_evidence()
        self._blocks = [
            block * _factor(accepted * hit + refused * miss)
            for block, (hit, miss) in zip(self._blocks, self._block_terms, strict=True)
        ]

    def _start_evidence(self) -> float:
        accepted, refused = self._accepted, self._refused
        if accepted >= self._bound * (accepted + refused):
            return 1.0  # a rate inside the bound: no ratio is above 1, and that is near enough
        try:
            ratios = [exp(accepted * hit + refused * miss) for hit, miss in self._start_terms]
        except OverflowError:
            return math.inf
        return sum(ratios) / len(ratios)


def _factor(log_ratio: float) -> float:
    # Never 0: infinity times 0 would be no number.
    try:
        return exp(log_ratio) or _SMALLEST
    except OverflowError:
        return math.inf
