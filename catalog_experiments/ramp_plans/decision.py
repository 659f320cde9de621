"""Should a ramp take its next step now? One pure function of where it stands and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from catalog_experiments.ramp_plans.plan import Finding, RampPlan, RampStep, Reaction


class Move(StrEnum):
    """What a ramp does now."""

    WAIT = "wait"
    ADVANCE = "advance"
    FINISH = "finish"
    ROLL_BACK = "roll_back"


class Obstacle(StrEnum):
    """What a ramp waits for; a finding that it waits out comes under the finding's own name."""

    SLOT = "slot"
    HOURS = "hours"
    SAMPLE = "sample"
    GUARDRAIL = "guardrail"
    SAMPLE_RATIO = "sample_ratio"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class RampStanding:
    """Where a climbing ramp stands.

    Args:
        step: the present step, 1 for the first.
        since_at: when serving of this step in the present phase began; aware, UTC.
        now: aware, UTC.
        smallest_sample: units first exposed since then, of the variant with the fewest.
        findings: what was found against the experiment on fresh numbers.
        is_watched: a test variant's estimate lies outside its bound, though the evidence is not there yet.
        will_pause: the guardrails pause the experiment at their next round; nothing may get in between.
        has_slot: False while another experiment keeps the page's slot, so that nobody is enrolled.
    """

    step: int
    since_at: datetime
    now: datetime
    smallest_sample: int
    findings: frozenset[Finding] = frozenset()
    is_watched: bool = False
    will_pause: bool = False
    has_slot: bool = True


@dataclass(frozen=True, slots=True)
class RampDecision:
    """What to do: `waiting_for` names each obstacle of a wait, `because` the findings that roll back or are ignored."""

    move: Move
    waiting_for: tuple[Obstacle, ...] = ()
    because: tuple[Finding, ...] = ()


def decide(plan: RampPlan, standing: RampStanding) -> RampDecision:
    """Return what a climbing ramp does now.

    A finding whose reaction is to roll back comes first; then every obstacle must be gone. An experiment that the
    guardrails are about to pause is left to them.

    >>> from datetime import UTC, datetime
    >>> plan = (RampStep(coverage=500, minimum_hours=24), RampStep(coverage=10_000))
    >>> noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> decide(plan, RampStanding(step=1, since_at=noon, now=noon, smallest_sample=0)).waiting_for
    (<Obstacle.HOURS: 'hours'>,)
    """
    step = plan[standing.step - 1]
    rolls = tuple(found for found in Finding if _reacts(step, standing, found, Reaction.ROLL_BACK))
    if rolls and not standing.will_pause:
        return RampDecision(Move.ROLL_BACK, because=rolls)
    if waits := tuple(obstacle for obstacle in Obstacle if obstacle in _obstacles(step, standing)):
        return RampDecision(Move.WAIT, waiting_for=waits)
    ignored = tuple(found for found in Finding if found in standing.findings)
    return RampDecision(Move.FINISH if standing.step == len(plan) else Move.ADVANCE, because=ignored)


def earliest_at(step: RampStep, since_at: datetime) -> datetime:
    """Return the first moment at which a step that began at `since_at` has had its hours."""
    return since_at + timedelta(hours=step.minimum_hours)


def _reacts(step: RampStep, standing: RampStanding, finding: Finding, reaction: Reaction) -> bool:
    return finding in standing.findings and step.reaction_to(finding) == reaction


def _obstacles(step: RampStep, standing: RampStanding) -> set[Obstacle]:
    holding = {Obstacle(found) for found in Finding if _reacts(step, standing, found, Reaction.HOLD)}
    is_amber = standing.is_watched and step.on_guardrail != Reaction.WARN
    holds = {
        Obstacle.SLOT: not standing.has_slot,
        Obstacle.HOURS: standing.now < earliest_at(step, standing.since_at),
        Obstacle.SAMPLE: standing.smallest_sample < step.minimum_sample,
        Obstacle.GUARDRAIL: is_amber or standing.will_pause,
    }
    return holding | {obstacle for obstacle, is_there in holds.items() if is_there}
