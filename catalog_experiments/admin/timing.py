"""What the clock will do to an experiment, in sentences: its schedule by the shop's clock, where its ramp stands."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from catalog_experiments.guardrails import from_record
from catalog_experiments.models import Experiment, ExperimentStatus, RampState
from catalog_experiments.ramp_plans import (
    Move,
    Obstacle,
    RampDecision,
    RampPlan,
    RampPlanError,
    RampStep,
    decide,
    parse_plan,
)
from catalog_experiments.ramp_plans.decision import RampStanding, earliest_at
from catalog_experiments.ramping import Samples, standing_of
from catalog_experiments.shop_time import both_clocks, short_shop_time

_WORDS = {
    Obstacle.SLOT: "the slot of its page",
    Obstacle.HOURS: "time",
    Obstacle.SAMPLE: "sample",
    Obstacle.GUARDRAIL: "a guardrail that is not healthy",
    Obstacle.SAMPLE_RATIO: "variants that hold their shares",
    Obstacle.HOLD: "data that can be trusted",
}
_ENDED = {
    RampState.FINISHED: "The ramp is through",
    RampState.STOPPED: "The ramp was stopped",
    RampState.ROLLED_BACK: "The ramp was rolled back",
}


def timing_sentences(
    experiment: Experiment, verdicts: Mapping[str, Mapping[str, Any]], samples: Samples, *, now: dt.datetime
) -> tuple[str, ...]:
    """Say what is scheduled, what was refused, and where the ramp stands; nothing where the clock changes nothing."""
    return (*_schedule(experiment), *_ramp(experiment, verdicts, samples, now))


def _schedule(experiment: Experiment) -> Iterator[str]:
    zone = ZoneInfo(settings.CATALOG_SHOP_TIME_ZONE)
    start_at, end_at = experiment.scheduled_start_at, experiment.scheduled_end_at
    if experiment.schedule_refusal:
        yield f"The schedule was not kept: {experiment.schedule_refusal}"
        return
    if start_at is not None and experiment.status == ExperimentStatus.DRAFT:
        yield f"Starts by itself on {both_clocks(start_at, zone)}."
    if end_at is not None and experiment.status != ExperimentStatus.COMPLETED:
        yield f"Ends by itself on {both_clocks(end_at, zone)}."


def _ramp(
    experiment: Experiment, verdicts: Mapping[str, Mapping[str, Any]], samples: Samples, now: dt.datetime
) -> Iterator[str]:
    try:
        plan = parse_plan(experiment.ramp_plan)
    except RampPlanError:
        return
    if not plan or experiment.status == ExperimentStatus.COMPLETED:
        return
    if experiment.ramp_step is None:
        shares = ", ".join(_share(step.coverage) for step in plan)
        yield f"Ramp of {len(plan)} steps: {shares}."
    elif experiment.ramp_state == RampState.CLIMBING and experiment.is_running:
        standing = standing_of(experiment, from_record(verdicts.values()), samples, now=now)
        yield _climbing(experiment, plan, standing)
    else:
        ended = _ENDED.get(RampState(experiment.ramp_state), "The ramp waits for the experiment to run")
        yield f"{ended}: step {experiment.ramp_step} of {len(plan)}, {_share(experiment.coverage)} of visitors."


def _climbing(experiment: Experiment, plan: RampPlan, standing: RampStanding) -> str:
    step, decision = plan[standing.step - 1], decide(plan, standing)
    here = f"Ramp: step {standing.step} of {len(plan)}: {_share(experiment.coverage)}"
    is_last = standing.step == len(plan)
    goal = "the last; it is over" if is_last else f"next {_share(plan[standing.step].coverage)}"
    return f"{here}, {goal} {_conditions(step, standing)}; {_next(decision, standing)}."


def _conditions(step: RampStep, standing: RampStanding) -> str:
    earliest = short_shop_time(earliest_at(step, standing.since_at), ZoneInfo(settings.CATALOG_SHOP_TIME_ZONE))
    sample = f" and {step.minimum_sample:,} visitors a variant" if step.minimum_sample else ""
    return f"not before {earliest}{sample}"


def _next(decision: RampDecision, standing: RampStanding) -> str:
    if decision.move == Move.WAIT:
        reached = f" ({standing.smallest_sample:,} so far)" if Obstacle.SAMPLE in decision.waiting_for else ""
        return f"waiting for: {', '.join(_WORDS[obstacle] for obstacle in decision.waiting_for)}{reached}"
    return "goes one step back at the next look" if decision.move == Move.ROLL_BACK else "due at the next look"


def _share(coverage: int) -> str:
    return f"{coverage / 100:g} %"
