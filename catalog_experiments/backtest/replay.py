"""Replay a phase under proposed guardrails, one look an hour, and find the first that would have paused it. Pure.

A ceiling over the evidence says which looks can matter at all; these are decided on the exact evidence, and what is
reported of a pause is what `guardrails.judge` says of the same tallies.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog_experiments.backtest.course import Course, Proposal, VariantCourse, last_mature_date
from catalog_experiments.guardrails import VariantVerdict, Verdict, judge
from catalog_experiments.guardrails.batches import batch_size, is_persistently_outside
from catalog_experiments.guardrails.evidence import OUTAGE_FACTOR
from catalog_experiments.guardrails.observations import DEFAULT_PLANNED_SAMPLE
from catalog_experiments.guardrails.verdicts import SETTLING
from catalog_experiments.stats.blocks import HOURS_PER_DAY, Block
from catalog_experiments.stats.ceiling import EvidenceCeiling
from catalog_experiments.stats.mixture import mixture_evidence

_ROUNDING = 1e-6
"""Surpluses closer than this are told apart by the exact rule."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One proposed bound on acceptance, a fraction."""

    bound: str
    threshold: float

    @property
    def is_maximum(self) -> bool:
        """Say whether it is the most rather than the least."""
        return self.bound == "max_acceptance_rate"

    @property
    def least(self) -> float:
        """The bound as a least rate: for a most, of refusals."""
        return 1 - self.threshold if self.is_maximum else self.threshold

    def holds(self, n: int, accepted: int) -> bool:
        """Say whether counts meet the bound, equality included; `n` is at least 1."""
        rate = accepted / n
        return rate <= self.threshold if self.is_maximum else rate >= self.threshold


@dataclass(frozen=True, slots=True)
class Pause:
    """The first look that would have paused a phase, and the verdicts of the variants that stop it there."""

    look: int
    at: datetime
    verdicts: tuple[VariantVerdict, ...]


def limits_of(proposal: Proposal) -> tuple[Limit, ...]:
    """Return the proposed bounds on acceptance."""
    config = proposal.config
    rates = {"min_acceptance_rate": config.min_acceptance_rate, "max_acceptance_rate": config.max_acceptance_rate}
    return tuple(Limit(bound, rate) for bound, rate in rates.items() if rate is not None)


def alpha_share(course: Course, proposal: Proposal) -> float:
    """Return each bound's part of alpha: split over test variants and bounds, as when a phase opens."""
    return proposal.config.alpha / max(1, len(course.tests) * len(proposal.config.bounds))


def first_pause(
    course: Course, proposal: Proposal, *, planned_sample_size: int = DEFAULT_PLANNED_SAMPLE
) -> Pause | None:
    """Return the first look at which a test variant would have paused the phase, as `guardrails.judge` sees it."""
    for look in _judged_looks(course, proposal):
        frame = course.frame_at(look, proposal, planned_sample_size)
        stopped = tuple(each for each in judge(frame, course.observations_at(look)) if each.would_pause)
        if stopped:
            return Pause(look, course.look_at(look), stopped)
    return None


def would_pause(course: Course, proposal: Proposal) -> bool:
    """Say whether bounds on acceptance would have paused the phase; for many phases of which nothing is reported."""
    return next(_pausing_looks(course, proposal), None) is not None


def may_pause(course: Course, proposal: Proposal) -> bool:
    """Say whether the test variants' own data could pause the phase, whatever the control shows and the sample is.

    Where it may not, no milder threshold pauses either: evidence, and batches outside, only grow with the threshold.
    """
    rule = _Rule(course, proposal, alpha_share(course, proposal))
    pairs = ((variant, limit) for variant in course.tests for limit in limits_of(proposal))
    return any(next(rule.suspicious_looks(*pair), None) is not None for pair in pairs)


def crossed_at(course: Course, variant: VariantCourse, limit: Limit, share: float) -> int | None:
    """Return the first look at which a variant's own evidence reaches 1 / share, whatever any other shows; or None."""
    line = -math.log(share)
    crossings = (
        look for look in _suspicious_looks(variant, limit, line) if _exact(course, variant, limit, look)[0] >= line
    )
    return next(crossings, None)


def _judged_looks(course: Course, proposal: Proposal) -> Iterator[int]:
    looks = [_pausing_looks(course, proposal)]
    if proposal.config.max_drop_vs_control is not None:
        looks.append(_harm_looks(course))
    before = -1
    for look in heapq.merge(*looks):
        if look > before:
            yield look
        before = look


def _pausing_looks(course: Course, proposal: Proposal) -> Iterator[int]:
    rule = _Rule(course, proposal, alpha_share(course, proposal))
    return heapq.merge(
        *(rule.pausing_looks(variant, limit) for variant in course.tests for limit in limits_of(proposal))
    )


def _harm_looks(course: Course) -> Iterator[int]:
    before = None
    for look in range(course.looks):
        newest = last_mature_date(course.look_at(look))
        if newest != before:
            yield look
        before = newest


def _suspicious_looks(variant: VariantCourse, limit: Limit, line: float) -> Iterator[int]:
    """Yield the looks at which the evidence may have reached the line; at every other look it has not."""
    ceiling, reach = EvidenceCeiling(limit.least), math.exp(line)
    for look, (n, accepted) in enumerate(variant.counts):
        if ceiling.add_hour(n, n - accepted if limit.is_maximum else accepted) >= reach:
            yield look


def _objections(control: VariantCourse, limit: Limit) -> Iterator[bool]:
    """Say of each look whether the control is outside, or silent, over every span that ends there.

    A span is inside when its surplus of acceptances over the bound is 0 or more, so all are outside when the surplus
    since the start is lower than it was at every opening before.
    """
    surplus, lowest, objects = 0.0, 0.0, True
    for n, accepted in control.counts:
        if n:
            surplus += (n - accepted if limit.is_maximum else accepted) - limit.least * n
            objects = surplus < lowest - _ROUNDING
            lowest = min(lowest, surplus)
        yield objects


def _exact(course: Course, variant: VariantCourse, limit: Limit, look: int) -> tuple[float, Block]:
    series = course.series_at(variant, look)
    evidence = mixture_evidence(series.mirrored() if limit.is_maximum else series, limit.least)
    return evidence.log_e, evidence.dominating


def _opening(block: Block) -> int:
    return {"start": 0, "day": HOURS_PER_DAY, "hour": 1}[block.kind] * block.number


@dataclass(frozen=True, slots=True)
class _Rule:
    """When a test variant would pause, decided on bare counts: what `guardrails.judge` says, without its words."""

    course: Course
    proposal: Proposal
    share: float

    def pausing_looks(self, variant: VariantCourse, limit: Limit) -> Iterator[int]:
        if self.proposal.config.pause_rule == "persistent":
            return self._persistent_looks(variant, limit)
        looks = self._undecided(limit, _suspicious_looks(variant, limit, -math.log(self.share)))
        return (look for look in looks if self._verdict(variant, limit, look) is not None)

    def suspicious_looks(self, variant: VariantCourse, limit: Limit) -> Iterator[int]:
        if self.proposal.config.pause_rule != "persistent":
            return _suspicious_looks(variant, limit, -math.log(self.share))
        outages = _suspicious_looks(variant, limit, math.log(OUTAGE_FACTOR / self.share))
        return heapq.merge(self._outside_looks(variant, limit), outages)

    def _persistent_looks(self, variant: VariantCourse, limit: Limit) -> Iterator[int]:
        outside = (look for look in self._outside_looks(variant, limit) if self._is_sampled(variant, look))
        looks = self._undecided(limit, _suspicious_looks(variant, limit, math.log(OUTAGE_FACTOR / self.share)))
        outages = (look for look in looks if self._verdict(variant, limit, look) == Verdict.OUTAGE)
        return heapq.merge(outside, outages)

    def _undecided(self, limit: Limit, looks: Iterator[int]) -> Iterator[int]:
        """Leave out the looks at which the control objects whichever block dominates; these cost nothing more."""
        control = self.course.control
        objections: Sequence[bool] = ()
        for look in looks:
            if control is not None and control.has_bundle:
                objections = objections or tuple(_objections(control, limit))
                if objections[look]:
                    continue
            yield look

    def _verdict(self, variant: VariantCourse, limit: Limit, look: int) -> Verdict | None:
        """Return what the evidence stops the variant with, None where it must not or can not."""
        log_e, dominating = _exact(self.course, variant, limit, look)
        if log_e >= math.log(OUTAGE_FACTOR / self.share):
            verdict = Verdict.OUTAGE
        elif log_e >= -math.log(self.share) and self._is_sampled(variant, look):
            verdict = Verdict.BREACHED
        else:
            return None
        return verdict if self._is_allowed(limit, look, dominating, verdict) else None

    def _is_sampled(self, variant: VariantCourse, look: int) -> bool:
        return variant.outcomes_before[look + 1] >= max(1, self.proposal.minimum_sample)

    def _is_allowed(self, limit: Limit, look: int, dominating: Block, verdict: Verdict) -> bool:
        control = self.course.control
        if control is None:
            return False
        if not control.has_bundle:
            age = self.course.judged_at(look) - self.course.opened_at
            return verdict == Verdict.OUTAGE or age >= SETTLING
        n, accepted = control.since(_opening(dominating), look + 1)
        return n > 0 and limit.holds(n, accepted)

    def _outside_looks(self, variant: VariantCourse, limit: Limit) -> Iterator[int]:
        wanted, closed = self.proposal.config.consecutive, list[tuple[int, int]]()
        size, begun = batch_size(self.proposal.minimum_sample), 0
        for look in range(self.course.looks):
            n, accepted = variant.since(begun, look + 1)
            # An hour counts once it is over.
            if n >= size and self.course.blocks_at(look) > look:
                closed, begun = [*closed, (n, accepted)][-wanted:], look + 1
            if len(closed) == wanted and is_persistently_outside(closed, limit.threshold, limit.is_maximum):
                yield look
