"""Try proposed guardrails out on the shop's own past: what they would have paused, and how often without a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog_experiments.backtest.course import Course, Proposal
from catalog_experiments.backtest.false_alarms import (
    FalseAlarms,
    Suggestion,
    Trial,
    false_alarms,
    healthy_phases,
    suggest,
    wanted_limits,
)
from catalog_experiments.backtest.fit import ControlFit, control_fit, surely_reached
from catalog_experiments.backtest.history import History
from catalog_experiments.backtest.past import Baseline, Past, past_of_bundle, past_of_experiment
from catalog_experiments.backtest.replay import Pause, first_pause, limits_of
from catalog_experiments.drafting.validation import InvalidExperiment, guardrail_errors
from catalog_experiments.guardrails import effective_minimum, parse_config
from catalog_experiments.models import Bundle, Experiment
from catalog_experiments.progress import Progress, tell_nobody
from catalog_experiments.stats.blocks import HOUR, HOURS_PER_DAY

BOUNDED_LOOKS = 100 * 14 * HOURS_PER_DAY
"""What a page or a request may spend on made-up phases: 100 of 14 days, fewer when they are longer."""


@dataclass(frozen=True, slots=True)
class Options:
    """How far back to read, and how healthy phases are made.

    `wanted_rate` is the share of false pauses that a suggested threshold may have. `most_looks` bounds the work: fewer
    phases than `resamples` are made when these would take more looks; None means no bound.
    """

    lookback_days: int = 90
    resamples: int = 200
    phase_days: int = 14
    wanted_rate: float = 0.01
    seed: int = 1
    most_looks: int | None = None

    def trial(self, test_count: int) -> Trial:
        """Return how healthy phases of an experiment with so many test variants are made, within the bound."""
        looks = self.phase_days * HOURS_PER_DAY * test_count
        affordable = self.resamples if self.most_looks is None else max(1, self.most_looks // looks)
        return Trial(min(self.resamples, affordable), self.phase_days, test_count, self.seed)


@dataclass(frozen=True, slots=True)
class Replay:
    """One phase of the past under the proposal. `pause` is None when it would have run on."""

    history: History
    pause: Pause | None

    @property
    def hours_earlier(self) -> float | None:
        """Hours from the pause until the phase really stopped; None without a pause."""
        return (self.history.stopped_at - self.pause.at) / HOUR if self.pause else None

    def orders_earlier(self, variant_key: str) -> int:
        """Return the orders of a variant that still came after the pause; 0 without one."""
        if self.pause is None:
            return 0
        own = next(each for each in self.history.course.variants if each.variant_key == variant_key)
        return own.since(self.pause.look + 1, len(own.counts))[0]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What the past says about a proposal.

    Attributes:
        slug: the experiment, or the bundle.
        name: how people call it.
        proposal: the guardrails that were tried out.
        options: how far back was read, and what was wanted.
        replays: past phases under them, oldest first.
        baseline: what stands for "nothing is wrong"; None without any order.
        fits: how the control's own history lies to each bound on acceptance.
        false_alarms: how often they pause for no reason; None when nothing can be said of it.
        suggestions: one per bound; empty when nothing can be said.
        missing: what is missing for false alarms and suggestions; empty when nothing is.
        notes: what the numbers do not cover.
    """

    slug: str
    name: str
    proposal: Proposal
    options: Options
    replays: tuple[Replay, ...]
    baseline: Baseline | None
    fits: tuple[ControlFit, ...]
    false_alarms: FalseAlarms | None
    suggestions: tuple[Suggestion, ...]
    missing: str
    notes: tuple[str, ...]

    @property
    def is_stuck(self) -> bool:
        """Say whether the control itself misses a proposed bound."""
        return any(fit.is_stuck for fit in self.fits)


def proposal_of(
    config: Mapping[str, object] | None = None,
    minimum_sample: int | None = None,
    *,
    experiment: Experiment | None = None,
) -> Proposal:
    """Return the guardrails to try out; what is not given is the experiment's own, or the default.

    Raises:
        InvalidExperiment: the proposed guardrails are not valid.
        GuardrailConfigError: nothing is proposed, and the experiment's stored guardrails are not valid.
    """
    if config is not None and (errors := list(guardrail_errors(config))):
        raise InvalidExperiment(errors)
    own = experiment.guardrail_config if experiment else {}
    parsed = parse_config(own if config is None else config)
    sample = experiment.sample_size_guardrail if experiment else 0
    return Proposal(parsed, effective_minimum(parsed, sample) if minimum_sample is None else minimum_sample)


def backtest_experiment(
    experiment: Experiment, proposal: Proposal, options: Options, *, now: datetime, progress: Progress = tell_nobody
) -> Backtest:
    """Try guardrails out on the past of an experiment's product page; stores nothing.

    Replayed are the phases of all experiments on the page, and the orders of the experiment's own bundles where these
    never stood in one.
    """
    past = past_of_experiment(experiment, since=now - timedelta(days=options.lookback_days), now=now)
    return _run(past, proposal, options, progress)


def backtest_bundle(
    bundle: Bundle, proposal: Proposal, options: Options, *, now: datetime, progress: Progress = tell_nobody
) -> Backtest:
    """Try guardrails out on the past of one bundle; stores nothing.

    Replayed are the phases in which it was a test variant, or its orders when it never stood in an experiment.
    """
    past = past_of_bundle(bundle, since=now - timedelta(days=options.lookback_days), now=now)
    return _run(past, proposal, options, progress)


def _run(past: Past, proposal: Proposal, options: Options, progress: Progress) -> Backtest:
    baseline, rhythm, missing = past.rhythm()
    replays = tuple(_replays(past, proposal, progress))
    phases = healthy_phases(rhythm, options.trial(past.test_count)) if rhythm else []
    return Backtest(
        slug=past.slug,
        name=past.name,
        proposal=proposal,
        options=options,
        replays=replays,
        baseline=baseline,
        fits=_fits(baseline, proposal, past.test_count),
        false_alarms=false_alarms(phases, proposal, rhythm.method, progress)
        if rhythm and limits_of(proposal)
        else None,
        suggestions=_suggestions(phases, baseline, proposal, options, progress),
        missing=missing,
        notes=(*past.notes, *_uncovered(proposal)),
    )


def _replays(past: Past, proposal: Proposal, progress: Progress) -> list[Replay]:
    replays = []
    for done, history in enumerate(past.histories, start=1):
        pause = first_pause(history.course, proposal, planned_sample_size=history.planned_sample_size)
        replays.append(Replay(history, pause))
        progress("past phases", done, len(past.histories))
    return replays


def _fits(baseline: Baseline | None, proposal: Proposal, test_count: int) -> tuple[ControlFit, ...]:
    if baseline is None:
        return ()
    share = proposal.config.alpha / max(1, test_count * len(proposal.config.bounds))
    return tuple(control_fit(baseline.stretches, limit, share) for limit in limits_of(proposal))


def _suggestions(
    phases: Sequence[Course], baseline: Baseline | None, proposal: Proposal, options: Options, progress: Progress
) -> tuple[Suggestion, ...]:
    if baseline is None or not phases:
        return ()
    return tuple(
        suggest(
            phases,
            proposal,
            limit,
            reach=surely_reached(limit, *baseline.counts),
            wanted_rate=options.wanted_rate,
            progress=progress,
        )
        for limit in wanted_limits(proposal)
    )


def _uncovered(proposal: Proposal) -> list[str]:
    if proposal.config.max_drop_vs_control is None:
        return []
    return [
        "The largest drop against control is replayed in past phases. Made-up phases know orders alone: there it only "
        "takes its part of alpha."
    ]
