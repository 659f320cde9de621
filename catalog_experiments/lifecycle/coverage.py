"""How much traffic an experiment gets while it runs: where its ramp stands, and one change of coverage at a time.

Raising coverage only adds units and goes on in the open phase; lowering it opens a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from catalog_experiments.lifecycle.activation import current_phase, finish, offered_slugs
from catalog_experiments.locking import locked_bundles, save_change
from catalog_experiments.models import Experiment, RampState
from catalog_experiments.phases import open_phase
from catalog_experiments.publication import overrides
from catalog_experiments.ramp_plans import parse_plan, place_in

RAMP_COLUMNS = ("coverage", "ramp_state", "ramp_step", "ramp_step_at")


def begin_ramp(experiment: Experiment, *, now: datetime) -> None:
    """Set the first step's coverage on an experiment that goes live; without a plan nothing happens.

    The caller saves `RAMP_COLUMNS`.
    """
    if plan := parse_plan(experiment.ramp_plan):
        experiment.coverage = plan[0].coverage
        set_step(experiment, 1, now=now)


def settle_ramp(experiment: Experiment, edited: Iterable[str], *, now: datetime) -> None:
    """Say what a live experiment's ramp does after edits went live; the caller saves `RAMP_COLUMNS`.

    An edited plan goes on from the coverage that is served; a person's own coverage ends the ramp.
    """
    names = set(edited)
    if "ramp_plan" in names:
        _follow(experiment, now)
    elif "coverage" in names and experiment.ramp_state == RampState.CLIMBING:
        experiment.ramp_state = RampState.STOPPED


def restart_step(experiment: Experiment, *, now: datetime) -> None:
    """Count the present step's hours from now, as after a pause; the caller saves `RAMP_COLUMNS`."""
    if experiment.ramp_state == RampState.CLIMBING:
        experiment.ramp_step_at = now


def set_step(experiment: Experiment, step: int, *, now: datetime) -> None:
    """Let a ramp climb on from a step, 1 for the first, whose hours and sample count from now."""
    experiment.ramp_state = RampState.CLIMBING
    experiment.ramp_step, experiment.ramp_step_at = step, now


def set_coverage(
    experiment: Experiment,
    coverage: int,
    *,
    actor: str,
    action: str,
    reason: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: datetime,
) -> None:
    """Serve a locked running experiment to `coverage` basis points of all units, and note who, why and the phase.

    Saves `RAMP_COLUMNS`; writes event and document in the caller's transaction.
    """
    former, was = current_phase(experiment), experiment.coverage
    experiment.coverage = coverage
    if coverage < was:
        locked_bundles(offered_slugs(experiment))
        open_phase(experiment, reason=f"coverage lowered: {reason}", now=now, origin=former.origin)
        overrides.record_live(experiment, now=now)
    save_change(experiment, *RAMP_COLUMNS, "metadata")
    phase = current_phase(experiment)
    finish(
        experiment,
        actor=actor,
        action=action,
        reason=reason,
        before={"coverage": was, "phase": former.number, **before},
        after={"coverage": coverage, "phase": phase.number, **after},
        now=now,
    )


def _follow(experiment: Experiment, now: datetime) -> None:
    plan = parse_plan(experiment.ramp_plan)
    if not plan:
        experiment.ramp_state, experiment.ramp_step, experiment.ramp_step_at = RampState.NONE, None, None
    elif step := place_in(plan, experiment.coverage):
        set_step(experiment, step, now=now)
    else:
        begin_ramp(experiment, now=now)
