"""Evidence that one rate lies beyond a bound, valid however often it is looked at: the guardrails' e-process.

Everything is computed in logarithms; counts up to 10^9 neither overflow nor give NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp

from catalog_experiments.stats.blocks import Block, BlockSeries
from catalog_experiments.stats.distributions import logsumexp

_GRID_SIZE = 16
_GRID = tuple(1 - 0.03 * (0.97 / 0.03) ** (j / (_GRID_SIZE - 1)) for j in range(_GRID_SIZE))
_BLOCK_GRID = (0.05, 0.2, 0.35, 0.5)
_MOST_STEPS = 200
_PRECISION = 1e-10
_HIGHEST_BOUND = 1 - 1e-15

Terms = tuple[tuple[float, float], ...]
"""Per alternative q = f p0: the logarithm of the likelihood ratio of one acceptance and of one refusal."""


@dataclass(frozen=True, slots=True)
class MixtureEvidence:
    """Evidence that a rate lies below a bound: `log_e` and the block that carries most of it."""

    log_e: float
    dominating: Block


def log_grid_e(accepted: int, n: int, bound: float) -> float:
    """Return log E of the hypothesis "the rate is at least the bound", on counts since a fixed start.

    The chance that E ever reaches 1 / alpha while the rate is at least the bound is at most alpha.

    Raises:
        ValueError: the bound is not strictly between 0 and 1.

    Assumes: outcomes are independent given the past, each accepted with a chance of at least the bound.
    Source: Robbins (1970), mixture of likelihood ratios; Howard et al. (2021), arXiv:1810.08240.

    >>> round(log_grid_e(0, 54, 0.1), 4), log_grid_e(0, 0, 0.1)
    (3.2742, 0.0)
    """
    refused = n - accepted
    return logsumexp(accepted * hit + refused * miss for hit, miss in _terms(_GRID, bound)) - math.log(_GRID_SIZE)


def mixture_evidence(series: BlockSeries, bound: float) -> MixtureEvidence:
    """Return the evidence that the rate fell below a bound, early on or since any hour or day of the phase.

    E = 0.8 E_start + 0.1 D + 0.1 H, where D and H sum E_k / (k (k + 1)) over the opened blocks and keep 1 / (K + 1)
    for those to come. The dominating block has the largest weighted term, ties to the earliest opening.

    Raises:
        ValueError: the bound is not strictly between 0 and 1.

    Assumes: as `log_grid_e`; block openings are fixed before the data.
    Source: Howard et al. (2021), arXiv:1810.08240; weighted averages of e-processes are e-processes (Vovk, Wang 2021).
    """
    grid, block_grid = _terms(_GRID, bound), _terms(_BLOCK_GRID, bound)
    try:
        shift, weighted = 0.0, _weighted_terms(series, grid, block_grid, 0.0)
    except OverflowError:
        shift = _peak(series, grid, block_grid)
        weighted = _weighted_terms(series, grid, block_grid, shift)
    log_e = shift + math.log(math.fsum(weighted) + series.constant * exp(-shift))
    return MixtureEvidence(log_e, _earliest_largest(series.blocks, weighted))


def upper_limit(series: BlockSeries, alpha: float) -> float:
    """Return U, the one exact upper limit of the rate: {bound: E < 1 / alpha} = [0, U).

    A bound is crossed exactly when it is at least U, also a bound chosen after looking. 1.0 when nothing was refused.

    Args:
        series: counts per block, as for `mixture_evidence`.
        alpha: chance of error in (0, 1), of the crossing and of the limit alike.

    Source: log E is increasing and convex in the bound; Newton's method inside a bracket finds the one crossing.
    """
    wanted = -math.log(alpha)
    if series.start.accepted == series.start.n:
        return 1.0
    low, high, bound = 0.0, _HIGHEST_BOUND, _first_guess(series.start, wanted)
    for _ in range(_MOST_STEPS):
        log_e, slope = _log_e_and_slope(series, bound)
        low, high = (bound, high) if log_e < wanted else (low, bound)
        nearer = _newton_step(bound, log_e, slope, wanted)
        if min(abs(nearer - bound), high - low) <= _PRECISION * bound:
            break
        bound = nearer if low < nearer < high else (low + high) / 2
    limit = min(max(nearer, low), high)
    return limit if limit < _HIGHEST_BOUND else 1.0


def lower_limit(series: BlockSeries, alpha: float) -> float:
    """Return the one exact lower limit of the rate: a maximum bound is crossed exactly when it is at most this.

    The mirror image of `upper_limit`; 0.0 when nothing was accepted.
    """
    return 1 - upper_limit(series.mirrored(), alpha)


def _first_guess(start: Block, wanted: float) -> float:
    # What the counts since the start alone would give; log 16 is the price of the grid.
    rate, level = start.accepted / start.n, wanted + math.log(_GRID_SIZE)
    above = math.sqrt(2 * level * rate * (1 - rate) / start.n) + level / start.n
    return rate + min(above, (1 - rate) / 2)


def _newton_step(bound: float, log_e: float, slope: float, wanted: float) -> float:
    # Near the limit log E grows like a square, so its root is nearly a straight line.
    if slope <= 0:
        return math.inf
    if log_e <= 0:
        return bound + (wanted - log_e) / slope
    return bound + (math.sqrt(wanted) - math.sqrt(log_e)) * 2 * math.sqrt(log_e) / slope


def _log_e_and_slope(series: BlockSeries, bound: float) -> tuple[float, float]:
    grid, block_grid = _fresh_terms(_GRID, bound), _fresh_terms(_BLOCK_GRID, bound)
    try:
        shift, (value, slope) = 0.0, _sum_and_slope(series, grid, block_grid, bound, 0.0)
    except OverflowError:
        shift = _peak(series, grid, block_grid)
        value, slope = _sum_and_slope(series, grid, block_grid, bound, shift)
    value += series.constant * exp(-shift)
    return shift + math.log(value), slope / value


def _sum_and_slope(
    series: BlockSeries, grid: Terms, block_grid: Terms, bound: float, shift: float
) -> tuple[float, float]:
    # Unrolled like `_weighted_terms`; d is the derivative of one refusal's log ratio.
    (a1, b1), (a2, b2), (a3, b3), (a4, b4) = block_grid
    d1, d2, d3, d4 = (_growth(fraction, bound) for fraction in _BLOCK_GRID)
    start = series.start
    misses = start.n - start.accepted
    ratios = [exp(start.accepted * hit + misses * miss - shift) for hit, miss in grid]
    value = start.weight * sum(ratios) / _GRID_SIZE
    growths = sum(ratio * _growth(fraction, bound) for ratio, fraction in zip(ratios, _GRID, strict=True))
    slope = start.weight * misses * growths / _GRID_SIZE
    for _, _, n, hits, weight in series.blocks[1:]:
        misses, share = n - hits, weight / 4
        r1, r2 = exp(hits * a1 + misses * b1 - shift), exp(hits * a2 + misses * b2 - shift)
        r3, r4 = exp(hits * a3 + misses * b3 - shift), exp(hits * a4 + misses * b4 - shift)
        value += share * (r1 + r2 + r3 + r4)
        slope += share * misses * (r1 * d1 + r2 * d2 + r3 * d3 + r4 * d4)
    return value, slope


def _growth(fraction: float, bound: float) -> float:
    return 1 / (1 - bound) - fraction / (1 - fraction * bound)


def _weighted_terms(series: BlockSeries, grid: Terms, block_grid: Terms, shift: float) -> list[float]:
    # Unrolled: this loop is the cost of a guardrail decision.
    (a1, b1), (a2, b2), (a3, b3), (a4, b4) = block_grid
    start = series.start
    refused = start.n - start.accepted
    summed = sum([exp(start.accepted * hit + refused * miss - shift) for hit, miss in grid])
    weighted = [start.weight * summed / _GRID_SIZE]
    for _, _, n, hits, weight in series.blocks[1:]:
        misses = n - hits
        ratios = exp(hits * a1 + misses * b1 - shift) + exp(hits * a2 + misses * b2 - shift)
        ratios += exp(hits * a3 + misses * b3 - shift) + exp(hits * a4 + misses * b4 - shift)
        weighted.append(weight * ratios / 4)
    return weighted


def _peak(series: BlockSeries, grid: Terms, block_grid: Terms) -> float:
    start = series.start
    peaks = [start.accepted * hit + (start.n - start.accepted) * miss for hit, miss in grid]
    peaks += [
        block.accepted * hit + (block.n - block.accepted) * miss
        for block in series.blocks[1:]
        for hit, miss in block_grid
    ]
    return max(peaks)


def _earliest_largest(blocks: Sequence[Block], weighted: Sequence[float]) -> Block:
    largest = max(weighted)
    tied = [block for block, term in zip(blocks, weighted, strict=True) if term == largest]
    return min(tied, key=_boundary)


def _boundary(block: Block) -> int:
    return block.number * 24 if block.kind == "day" else block.number


def likelihood_terms(bound: float) -> tuple[Terms, Terms]:
    """Return the log ratios of each alternative against a bound: those of the phase's start, and those of a block.

    Raises:
        ValueError: the bound is not strictly between 0 and 1.

    >>> [len(terms) for terms in likelihood_terms(0.1)]
    [16, 4]
    """
    return _terms(_GRID, bound), _terms(_BLOCK_GRID, bound)


@lru_cache(maxsize=4096)
def _terms(fractions: tuple[float, ...], bound: float) -> Terms:
    if not 0 < bound < 1:
        raise ValueError(f"A bound on a rate lies strictly between 0 and 1, not at {bound}.")
    return _fresh_terms(fractions, bound)


def _fresh_terms(fractions: tuple[float, ...], bound: float) -> Terms:
    rest = math.log1p(-bound)
    return tuple((math.log(fraction), math.log1p(-fraction * bound) - rest) for fraction in fractions)
