"""Test variant against control: how often, and when, the product calls two rates different, or shares of units off.

As in `looks`, numpy finds the looks that could matter with a margin, and the product's own functions decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from catalog_experiments.stats.decisions import (
    EARLY_ALPHA,
    Declared,
    Occasion,
    Stage,
    decide,
)
from catalog_experiments.stats.distributions import normal_quantile
from catalog_experiments.stats.effects import HalfWidth, difference, fixed_half_width, two_proportion_z
from catalog_experiments.stats.looks import FEWEST_UNITS, Look, shortfall_of_rates
from catalog_experiments.stats.moments import VariantMoments
from catalog_experiments.stats.sequential import sequential_half_width
from catalog_experiments.stats.srm import LIVE_ALPHA, chi_square, log_live_e
from tests.benchmarks.guardrails.worlds import TICK, TICKS_PER_DAY, Counts

Floats = NDArray[np.float64]

MARGIN = 1e-6


def first_difference(units: Counts, successes: Counts, look: Look) -> int | None:
    """Return the first look at which the running interval of the difference excludes 0, behind its gate.

    Args:
        units: per look, those of each variant.
        successes: per look (columns) those of control and test (rows).
        look: the kind of interval.
    """
    for at in _far_apart(units, successes, look.half_width).tolist():
        control, test = _pair(units, successes, at)
        interval = difference(test, control, look.half_width).interval
        if interval is not None and interval.excludes(0) and not shortfall_of_rates((test, control)):
            return int(at)
    return None


def first_naive_difference(units: Counts, successes: Counts) -> int | None:
    """Return the first look at which a fixed test at 5 %, made for one look, says different behind the same gate."""
    for at in _far_apart(units, successes, fixed_half_width(0.05)).tolist():
        control, test = _pair(units, successes, at)
        score = two_proportion_z(test, control)
        if score is not None and score.p_value <= 0.05 and not shortfall_of_rates((test, control)):
            return int(at)
    return None


def verdict_by_the_end(units: Counts, successes: Counts) -> Declared:
    """Return what the two stages declare: at any look before the last, or finally at the last, the planned sample."""
    planned, last = 2 * int(units[-1]), len(units) - 1
    half_width = sequential_half_width(planned, EARLY_ALPHA)
    for at in _far_apart(units, successes, half_width).tolist():
        if at == last:
            break
        control, test = _pair(units, successes, at)
        occasion = Occasion(Stage.EARLY, age=(at + 1) * TICK, planned_units=planned, is_rate=True)
        [decision] = decide(control, [test], occasion)
        if decision.declared != Declared.NOTHING and not shortfall_of_rates((test, control)):
            return decision.declared
    control, test = _pair(units, successes, last)
    [decision] = decide(control, [test], Occasion(Stage.FINAL, (last + 1) * TICK, planned, is_rate=True))
    return decision.declared


def verdict_at_the_end_alone(units: Counts, successes: Counts, alpha: float = 0.05) -> Declared:
    """Return what a fixed test declares that nobody looked at before."""
    control, test = _pair(units, successes, len(units) - 1)
    score = two_proportion_z(test, control)
    if score is None or score.p_value > alpha:
        return Declared.NOTHING
    return Declared.BETTER if score.z > 0 else Declared.WORSE


def verdict_of_the_sequence_alone(units: Counts, successes: Counts) -> Declared:
    """Return what the sequence at 5 % declares at any look up to the last, in either direction."""
    at = first_difference(units, successes, Look(is_final=False, planned_units=2 * int(units[-1])))
    if at is None:
        return Declared.NOTHING
    control, test = _pair(units, successes, at)
    return Declared.BETTER if test.total > control.total else Declared.WORSE


def first_ratio_alarm(counts: Counts, weights: Sequence[float]) -> int | None:
    """Return the first look at which the live monitor sees a sample ratio mismatch.

    Args:
        counts: units of each variant (rows) in each tick (columns).
        weights: the planned shares.
    """
    line = -np.log(LIVE_ALPHA)
    for at in np.flatnonzero(_log_live_bound(counts, weights) >= line - MARGIN).tolist():
        days = [counts[:, start : min(start + TICKS_PER_DAY, at + 1)] for start in range(0, at + 1, TICKS_PER_DAY)]
        if log_live_e([tuple(day.sum(axis=1).tolist()) for day in days], weights) >= line:
            return int(at)
    return None


def first_naive_ratio_alarm(counts: Counts, weights: Sequence[float]) -> int | None:
    """Return the first look at which a chi-square test at 5 %, made for one look, sees a mismatch."""
    sums = counts.cumsum(axis=1)
    expected = sums.sum(axis=0) * np.array(weights)[:, None] / sum(weights)
    statistics = ((sums - expected) ** 2 / expected).sum(axis=0)
    for at in np.flatnonzero(statistics >= normal_quantile(0.975) ** 2 * (1 - MARGIN)).tolist():
        result = chi_square(sums[:, at].tolist(), weights)
        if result is not None and result.p_value <= 0.05:
            return int(at)
    return None


def _pair(units: Counts, successes: Counts, at: int) -> tuple[VariantMoments, VariantMoments]:
    control, test = (VariantMoments.of_counts(int(own), int(units[at])) for own in successes[:, at])
    return control, test


def _far_apart(units: Counts, successes: Counts, half_width: HalfWidth) -> Counts:
    """Return the looks past the gate of units at which the difference may reach the half width."""
    looks = np.flatnonzero(units >= FEWEST_UNITS)
    n, rates = units[looks], successes[:, looks] / units[looks]
    pooled = rates.mean(axis=0)
    # The sequence takes the variants' own spreads, the naive test the pooled one: the smaller admits all of both.
    squares = np.minimum((rates * (1 - rates)).sum(axis=0) / (n - 1), 2 * pooled * (1 - pooled) / n)
    factors = np.array([half_width(1.0, 2 * int(own)) for own in n])
    is_near = np.abs(rates[1] - rates[0]) >= np.sqrt(squares) * factors * (1 - MARGIN)
    return np.asarray(looks[is_near])


def _log_live_bound(counts: Counts, weights: Sequence[float]) -> Floats:
    shares = np.array(weights)[:, None] / sum(weights)
    sums = counts.cumsum(axis=1)
    ticks = counts.shape[1]
    terms = [np.log(0.8) + _log_multinomial(sums, shares)]
    for day in range(1, (ticks - 1) // TICKS_PER_DAY + 1):
        opened = day * TICKS_PER_DAY
        since = np.full(ticks, -np.inf)
        since[opened:] = np.log(0.2 / (day * (day + 1))) + _log_multinomial(
            sums[:, opened:] - sums[:, [opened - 1]], shares
        )
        terms.append(since)
    days = np.arange(ticks) // TICKS_PER_DAY
    return np.asarray(np.logaddexp.reduce([*terms, np.log(0.2 / (days + 1))]))


def _log_multinomial(counts: Counts, shares: Floats) -> Floats:
    prior = 100.0 * shares
    log_e = gammaln(100.0) - gammaln(100.0 + counts.sum(axis=0))
    each = gammaln(prior + counts) - gammaln(prior) - counts * np.log(shares)
    return np.asarray(log_e + each.sum(axis=0))
