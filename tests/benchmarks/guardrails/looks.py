"""The first look at which a rule pauses: the product's own functions, asked at every look that could matter.

Asking `guardrails.judge` 4,032 times a run would take days. Looks are therefore screened first: `candidates` finds, for
all looks at once, those where the evidence comes within a hair of the pause line and the control, over some block that
weighs as much as the heaviest, is inside the bound. At the others the rule cannot pause; the verdict itself is always
the product's. A test proves on random histories that the screen changes no verdict and no look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from catalog_experiments.guardrails import (
    GuardrailConfig,
    HourTally,
    LatestMetric,
    Observation,
    PhaseFrame,
    VariantVerdict,
    Verdict,
    breaches,
    judge,
)
from catalog_experiments.stats import mixture
from catalog_experiments.stats.blocks import DAY_WEIGHT, HOUR, HOUR_WEIGHT, HOURS_PER_DAY, KEPT_HOURS, START_WEIGHT
from tests.benchmarks.guardrails.worlds import TICKS_PER_HOUR, Counts, History

Floats = NDArray[np.float64]

MARGIN = 1e-6
"""How far below the pause line evidence still counts as possible; rounding errs by less than 1e-11."""


@dataclass(frozen=True)
class Rule:
    """The guardrail under test: a lowest acceptance, its alpha and the sample guardrail."""

    bound: float = 0.1
    alpha: float = 0.05
    minimum: int = 250

    @property
    def config(self) -> GuardrailConfig:
        """The same as the product's settings."""
        return GuardrailConfig(min_acceptance_rate=self.bound, alpha=self.alpha)


@dataclass(frozen=True)
class Stop:
    """The look at which an experiment is paused, for which test variant, at how many of its outcomes."""

    look: int
    variant: int
    outcomes: int
    verdict: Verdict


def first_pause(history: History, rule: Rule) -> Stop | None:
    """Return where the product pauses; None when it never does."""
    for look in candidates(history, rule):
        for position, verdict in enumerate(verdicts_at(history, rule, look)):
            if verdict.should_pause:
                return Stop(look, position, verdict.sample, verdict.verdict)
    return None


def first_literal_breach(history: History, rule: Rule) -> Stop | None:
    """Return where the runbook's comparison on its own would pause: rate below the bound, sample reached."""
    n = history.per_tick * np.arange(1, history.ticks + 1)
    accepted = history.accepted[1:].cumsum(axis=1)
    is_possible = (n >= rule.minimum) & (accepted / n < rule.bound + MARGIN)
    for look in np.flatnonzero(is_possible.any(axis=0)).tolist():
        for position in np.flatnonzero(is_possible[:, look]).tolist():
            # The metric row holds the rate with four decimals.
            metric = LatestMetric(int(n[look]), round(int(accepted[position, look]) / int(n[look]), 4))
            codes = breaches(metric, rule.config, rule.minimum)
            if "min_acceptance_rate" in codes and "sample_size" not in codes:
                return Stop(look, position + 1, metric.sample_size, Verdict.BREACHED)
    return None


def verdicts_at(history: History, rule: Rule, look: int) -> tuple[VariantVerdict, ...]:
    """Return what the product says at a look, on the hourly counts up to it."""
    return judge(frame_at(history, rule, look), observations_at(history, look))


def frame_at(history: History, rule: Rule, look: int) -> PhaseFrame:
    """Return the phase as it is judged at a look: at the hour of the watermark."""
    return PhaseFrame(
        opened_at=history.opened_at,
        now=max(history.opened_at, hour_of(history.looked_at(look))),
        alpha=rule.alpha,
        minimum_sample=rule.minimum,
        config=rule.config,
    )


def hour_of(moment: datetime) -> datetime:
    """Return the start of the hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def observations_at(history: History, look: int, keys: Sequence[str] = ()) -> list[Observation]:
    """Return the hourly counts of every variant, the control first, up to a look; `keys` names the variants."""
    hours = (history.first_tick + np.arange(look + 1)) // TICKS_PER_HOUR
    starts = np.flatnonzero(np.diff(hours, prepend=-1))
    n = (history.per_tick * np.diff(starts, append=look + 1)).tolist()
    accepted = np.add.reduceat(history.accepted[:, : look + 1], starts, axis=1).tolist()
    first = hour_of(history.opened_at)
    moments = [first + number * HOUR for number in range(len(n))]
    return [
        Observation(
            variant_key=keys[position] if keys else f"variant-{position}",
            is_control=position == 0,
            has_bundle=True,
            tallies=tuple(map(HourTally, moments, n, row)),
        )
        for position, row in enumerate(accepted)
    ]


def candidates(history: History, rule: Rule) -> list[int]:
    """Return the looks, in order, at which some test variant might be paused; every other look pauses nobody."""
    tests = history.accepted.shape[0] - 1
    line = 1 / (rule.alpha / tests)
    blocks = _Blocks.of(history)
    n = blocks.counts(np.full(history.ticks, history.per_tick))
    is_possible = np.zeros(history.ticks, dtype=bool)
    for position in range(1, tests + 1):
        terms = blocks.terms(n, blocks.counts(history.accepted[position]), rule.bound)
        e = terms.sum(axis=1) + blocks.constant
        may_cross = e >= line * (1 - MARGIN)
        may_cross &= (n[:, 0] >= rule.minimum) | (e >= 10 * line * (1 - MARGIN))
        looks = np.flatnonzero(may_cross)
        if looks.size:
            is_possible[looks[_control_may_allow(history, blocks, looks, n, terms, rule.bound)]] = True
    return [int(look) for look in np.flatnonzero(is_possible)]


def _control_may_allow(
    history: History, blocks: _Blocks, looks: Counts, n: Counts, terms: Floats, bound: float
) -> NDArray[np.bool_]:
    heaviest = terms[looks].max(axis=1, keepdims=True)
    may_dominate = terms[looks] >= heaviest * (1 - MARGIN)
    control = blocks.counts(history.accepted[0])[looks]
    is_inside = (n[looks] > 0) & (control >= n[looks] * (bound - MARGIN))
    return np.asarray((may_dominate & is_inside).any(axis=1))


@dataclass(frozen=True)
class _Blocks:
    """For every look (rows) every block that may be open: the start, the days, the kept hours (columns)."""

    opened_before: Counts
    weights: Floats
    constant: Floats

    @classmethod
    def of(cls, history: History) -> _Blocks:
        """Return the blocks of the phase; weight 0 where a block is not open or dropped."""
        hours = (history.first_tick + np.arange(1, history.ticks + 1)) // TICKS_PER_HOUR
        day_numbers = np.arange(1, hours[-1] // HOURS_PER_DAY + 1)
        days = np.broadcast_to(day_numbers, (history.ticks, day_numbers.size))
        kept = hours[:, None] - np.arange(KEPT_HOURS + 1)
        boundaries = np.concatenate([np.zeros((history.ticks, 1), np.int64), days * HOURS_PER_DAY, kept], axis=1)
        is_open = (boundaries > 0) & (boundaries <= hours[:, None])
        weights = np.concatenate(
            [np.full((history.ticks, 1), START_WEIGHT), _weights(DAY_WEIGHT, days), _weights(HOUR_WEIGHT, kept)], axis=1
        )
        is_open[:, 0] = True
        opened_before = np.maximum(0, boundaries * TICKS_PER_HOUR - history.first_tick)
        constant = DAY_WEIGHT / (hours // HOURS_PER_DAY + 1) + HOUR_WEIGHT / (hours + 1)
        return cls(np.where(is_open, opened_before, 0), np.where(is_open, weights, 0.0), constant)

    def counts(self, per_tick: Counts) -> Counts:
        """Return how much of a count came in each block up to each look."""
        sums = np.concatenate([[0], per_tick.cumsum()])
        return np.asarray(sums[1:, None] - sums[self.opened_before])

    def terms(self, n: Counts, accepted: Counts, bound: float) -> Floats:
        """Return each block's weighted part of E; infinite where it is too large for a float."""
        refused = n - accepted
        with np.errstate(over="ignore", invalid="ignore"):  # beyond a float; nothing times that is no number
            start = _mean_ratio(mixture._GRID, accepted[:, :1], refused[:, :1], bound)
            later = _mean_ratio(mixture._BLOCK_GRID, accepted[:, 1:], refused[:, 1:], bound)
            return np.where(self.weights > 0, self.weights * np.concatenate([start, later], axis=1), 0.0)


def _weights(whole: float, numbers: Counts) -> Floats:
    kept = np.maximum(numbers, 1)
    return whole / (kept * (kept + 1.0))


def _mean_ratio(fractions: tuple[float, ...], accepted: Counts, refused: Counts, bound: float) -> Floats:
    ratios = [np.exp(accepted * hit + refused * miss) for hit, miss in mixture._terms(fractions, bound)]
    return np.asarray(sum(ratios) / len(fractions))
