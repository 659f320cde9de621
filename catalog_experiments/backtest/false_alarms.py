"""How often a proposal would pause an experiment in which nothing is wrong, and what threshold is safe enough. Pure."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from catalog_experiments.backtest.course import Course, Proposal
from catalog_experiments.backtest.replay import Limit, limits_of, may_pause, would_pause
from catalog_experiments.backtest.resampling import Method, Rhythm, resample
from catalog_experiments.progress import Progress
from catalog_experiments.stats.effects import wilson_interval

LADDER_STEPS = 20
FARTHEST = 0.5
"""A suggested bound lies at most this far from what the control surely reaches, relatively."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How healthy phases are made: how many, how long, with how many test variants, from which seed."""

    resamples: int = 200
    phase_days: int = 14
    test_count: int = 1
    seed: int = 1


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Of so many made-up healthy phases, how many a proposal would have paused.

    `rate` is their share, `interval` the 95 % Wilson interval of the true one.
    """

    method: Method
    resamples: int
    phase_days: int
    paused: int

    @property
    def rate(self) -> float:
        """Share of the phases that were paused."""
        return self.paused / self.resamples

    @property
    def interval(self) -> tuple[float, float]:
        """What the true share may be, at 95 %."""
        interval = wilson_interval(self.paused, self.resamples)
        return (interval.lower, interval.upper) if interval else (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Step:
    """One threshold of the ladder, and the share of healthy phases that are paused at it or a milder one."""

    threshold: float
    rate: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The strictest threshold of a bound with at most the wanted share of false pauses.

    `threshold` is None when even the mildest of the ladder pauses more often; `rate` is the share there.
    `ladder` runs from the mildest to the strictest that the control surely reaches.
    """

    bound: str
    wanted_rate: float
    threshold: float | None
    rate: float | None
    ladder: tuple[Step, ...]


def healthy_phases(rhythm: Rhythm, trial: Trial) -> list[Course]:
    """Make the phases of a trial; the same seed makes the same ones."""
    chance = random.Random(trial.seed)  # noqa: S311 - a simulation keeps no secret
    return [
        resample(rhythm, days=trial.phase_days, test_count=trial.test_count, chance=chance)
        for _ in range(trial.resamples)
    ]


def false_alarms(phases: Sequence[Course], proposal: Proposal, method: Method, progress: Progress) -> FalseAlarms:
    """Replay healthy phases under a proposal."""
    paused = 0
    for done, phase in enumerate(phases, start=1):
        paused += would_pause(phase, proposal)
        progress("false alarms", done, len(phases))
    days = (phases[0].ended_at - phases[0].opened_at).days
    return FalseAlarms(method, len(phases), days, paused)


def suggest(
    phases: Sequence[Course],
    proposal: Proposal,
    limit: Limit,
    *,
    reach: float,
    wanted_rate: float,
    progress: Progress,
) -> Suggestion:
    """Find the strictest threshold up to `reach` at which at most `wanted_rate` of healthy phases are paused.

    A phase counts against every threshold from the mildest that pauses it on. A larger wanted rate therefore never
    gives a milder threshold.
    """
    ladder = _ladder(limit, reach)
    breaking = []
    for done, phase in enumerate(phases, start=1):
        breaking.append(_mildest_breaking(phase, proposal, limit, ladder))
        progress("suggestion", done, len(phases))
    breaking.sort()
    steps = tuple(Step(rate, bisect_right(breaking, index) / len(phases)) for index, rate in enumerate(ladder))
    kept = [step for step in steps if step.rate <= wanted_rate]
    if not kept:
        return Suggestion(limit.bound, wanted_rate, None, None, steps)
    return Suggestion(limit.bound, wanted_rate, kept[-1].threshold, kept[-1].rate, steps)


def wanted_limits(proposal: Proposal) -> Iterator[Limit]:
    """Yield the bounds to suggest a threshold for: those proposed, else the least acceptance."""
    yield from limits_of(proposal) or (Limit("min_acceptance_rate", 0.5),)


def _ladder(limit: Limit, reach: float) -> list[float]:
    # Mildest first; beyond the last step the control might miss the bound too.
    fractions = [FARTHEST * (1 - step / LADDER_STEPS) for step in range(LADDER_STEPS + 1)]
    sign = 1 if limit.is_maximum else -1
    rates = [round(reach * (1 + sign * fraction), 4) for fraction in fractions]
    return [rate for rate in rates if 0 < rate < 1]


def _mildest_breaking(phase: Course, proposal: Proposal, limit: Limit, ladder: Sequence[float]) -> int:
    """Return the index of the mildest step that pauses a phase, the ladder's length when none does."""
    if proposal.config.pause_rule == "persistent":
        # No control rule: a stricter threshold has every miss of a milder one.
        return bisect_left(ladder, 1, key=lambda rate: int(would_pause(phase, _with(proposal, limit, rate))))
    mildest = len(ladder)
    # The control rule makes pauses come and go, but where the test variants themselves give no cause, no milder
    # threshold has one either.
    for index in reversed(range(len(ladder))):
        tried = _with(proposal, limit, ladder[index])
        if not may_pause(phase, tried):
            break
        if would_pause(phase, tried):
            mildest = index
    return mildest


def _with(proposal: Proposal, limit: Limit, threshold: float) -> Proposal:
    """Return a proposal with this threshold, and without the other bound on acceptance but for its part of alpha."""
    config = proposal.config
    rates = {"min_acceptance_rate": None, "max_acceptance_rate": None, limit.bound: threshold}
    alone = replace(config, **rates)  # type: ignore[arg-type]  # both are rates
    shares = len({*config.bounds, limit.bound})
    return replace(proposal, config=replace(alone, alpha=config.alpha * len(alone.bounds) / shares))
