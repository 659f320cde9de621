"""Advance, stop, roll back, finish: each locks the experiment and writes coverage, event and document together."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from catalog_experiments.audit import record_event
from catalog_experiments.lifecycle import (
    RAMP_COLUMNS,
    IllegalMove,
    ReasonRequired,
    StaleVersion,
    legal_moves,
    pause,
    set_coverage,
    set_step,
)
from catalog_experiments.locking import locked_experiment, save_change
from catalog_experiments.models import Experiment, PauseCause, RampState
from catalog_experiments.ramp_plans import Finding, Move, RampDecision, RampPlan, decide, parse_plan
from catalog_experiments.ramping.standing import judged_standing
from notifications.outbox import AlertDraft, enqueue

ACTOR = "system:ramp"
FOUND = {
    Finding.GUARDRAIL: "a guardrail is broken",
    Finding.SAMPLE_RATIO: "the variants do not hold their planned shares of visitors",
    Finding.HOLD: "the data cannot be trusted now",
}


class RampRefused(RuntimeError):
    """The ramp cannot make this move; nothing was changed."""


def step(experiment_id: UUID, *, now: datetime) -> Move:
    """Judge a climbing ramp on fresh numbers and make its move; safe to repeat and under any number of callers.

    Whoever comes second finds another lock version than it judged and does nothing.

    Raises:
        Experiment.DoesNotExist: there is none.
        GuardrailConfigError: its stored guardrails are not valid.
    """
    experiment = Experiment.objects.select_related("current_phase").get(pk=experiment_id)
    if not is_climbing(experiment):
        return Move.WAIT
    plan, standing = parse_plan(experiment.ramp_plan), judged_standing(experiment, now=now)
    decision = decide(plan, standing) if standing else None
    if decision is None or decision.move == Move.WAIT:
        return Move.WAIT
    try:
        with transaction.atomic():
            _carry_out(locked_experiment(experiment_id, experiment.lock_version), plan, decision, now)
    except StaleVersion:
        return Move.WAIT
    return decision.move


def advance(
    experiment_id: UUID, *, actor: str, now: datetime, reason: str = "", expected_version: int | None = None
) -> Experiment:
    """Take the next step now, whatever it waits for; a ramp that was stopped or rolled back climbs on.

    Raises:
        ExperimentNotFound, StaleVersion: as the lifecycle's verbs.
        IllegalMove: the experiment does not run.
        RampRefused: it has no plan, or no further step.
    """
    with transaction.atomic():
        experiment = _running(experiment_id, expected_version, "advance its ramp")
        plan = parse_plan(experiment.ramp_plan)
        if experiment.ramp_step is None or experiment.ramp_step >= len(plan):
            raise RampRefused("There is no further step: the ramp plan is empty, or at its last step.")
        _climb(experiment, plan, actor=actor, reason=reason, now=now)
    return experiment


def stop(
    experiment_id: UUID, *, actor: str, now: datetime, reason: str, expected_version: int | None = None
) -> Experiment:
    """End the climbing; the coverage stays as it is.

    Raises:
        ExperimentNotFound, StaleVersion: as the lifecycle's verbs.
        IllegalMove: the experiment does not run.
        RampRefused: no ramp climbs.
        ReasonRequired: the reason is blank.
    """
    with transaction.atomic():
        experiment = _running(experiment_id, expected_version, "stop its ramp")
        if experiment.ramp_state != RampState.CLIMBING:
            raise RampRefused("No ramp climbs here, so there is nothing to stop.")
        if not reason.strip():
            raise ReasonRequired("A ramp is stopped with a reason: say why.")
        _end(experiment, RampState.STOPPED, actor=actor, action="ramp_stop", reason=reason, now=now)
    return experiment


def is_climbing(experiment: Experiment) -> bool:
    """Say whether the clock may move this experiment's ramp: it runs, and nobody ended the ramp."""
    return experiment.is_running and experiment.ramp_state == RampState.CLIMBING


def _running(experiment_id: UUID, expected_version: int | None, verb: str) -> Experiment:
    experiment = locked_experiment(experiment_id, expected_version)
    if not experiment.is_running:
        raise IllegalMove(experiment.status, verb, legal_moves(experiment.status))
    return experiment


def _carry_out(experiment: Experiment, plan: RampPlan, decision: RampDecision, now: datetime) -> None:
    told = "; ".join(FOUND[found] for found in decision.because)
    if decision.move == Move.ROLL_BACK:
        _roll_back(experiment, plan, told, now)
        return
    reached = f"The step's hours and sample are reached{f', in spite of this: {told}' if told else ''}."
    if decision.move == Move.ADVANCE:
        _climb(experiment, plan, actor=ACTOR, reason=reached, now=now)
    else:
        _end(experiment, RampState.FINISHED, actor=ACTOR, action="ramp_finish", reason=reached, now=now)


def _climb(experiment: Experiment, plan: RampPlan, *, actor: str, reason: str, now: datetime) -> None:
    was = experiment.ramp_step or 0
    set_step(experiment, was + 1, now=now)
    set_coverage(
        experiment,
        # A person may have set more than the plan's next step: climbing never takes traffic away.
        max(plan[was].coverage, experiment.coverage),
        actor=actor,
        action="ramp_advance",
        reason=reason,
        before={"ramp_step": was},
        after={"ramp_step": was + 1, "of_steps": len(plan)},
        now=now,
    )


def _end(experiment: Experiment, state: str, *, actor: str, action: str, reason: str, now: datetime) -> None:
    before = {"ramp_state": experiment.ramp_state}
    experiment.ramp_state = state
    save_change(experiment, *RAMP_COLUMNS)
    after = {"ramp_state": state, "ramp_step": experiment.ramp_step, "coverage": experiment.coverage}
    record_event(experiment, actor=actor, action=action, reason=reason, before=before, after=after, now=now)


def _roll_back(experiment: Experiment, plan: RampPlan, told: str, now: datetime) -> None:
    was = experiment.ramp_step or 1
    reason = f"The ramp was rolled back from step {was}: {told}."
    if was > 1:
        set_step(experiment, was - 1, now=now)
    experiment.ramp_state = RampState.ROLLED_BACK
    if was > 1:
        set_coverage(
            experiment,
            min(plan[was - 2].coverage, experiment.coverage),
            actor=ACTOR,
            action="ramp_roll_back",
            reason=reason,
            before={"ramp_step": was},
            after={"ramp_step": was - 1, "of_steps": len(plan)},
            now=now,
        )
    else:
        save_change(experiment, *RAMP_COLUMNS)
        pause(experiment.pk, actor=ACTOR, now=now, reason=reason, cause=PauseCause.SCHEDULE, push_baseline=True)
        experiment.refresh_from_db()
    enqueue(_roll_back_draft(experiment, reason, now), now=now)


def _roll_back_draft(experiment: Experiment, reason: str, now: datetime) -> AlertDraft:
    served = f"It serves {experiment.coverage / 100:g} % of visitors" if experiment.is_running else "It is paused"
    return AlertDraft(
        kind="ramp_rolled_back",
        severity="warning",
        subject=f"{experiment.slug}: its ramp was rolled back",
        dedupe_key=f"ramp-roll-back:{experiment.pk}:{experiment.lock_version}",
        summary=f"{reason} {served}; the ramp goes on only when a person says so.",
        occurred_at=now,
        facts={
            "lines": [
                {"label": "Step", "value": f"{experiment.ramp_step} of {len(experiment.ramp_plan)}"},
                {"label": "Owner", "value": str(experiment.owner or "nobody")},
            ],
            "links": [{"label": "Open the experiment", "url": experiment.page_url}],
            "next_step": "Find the cause, then advance the ramp by hand or complete the experiment.",
            "data": {"experiment": experiment.slug, "ramp_step": experiment.ramp_step},
        },
    )
