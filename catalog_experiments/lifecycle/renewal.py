"""New phases without a transition: edits go live, a slot came free, or a person ends a latched hold."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from catalog_experiments.lifecycle.activation import (
    apply_pending,
    current_phase,
    finish,
    new_phase_reasons,
    offered_slugs,
    settle_phase,
    take_slot,
)
from catalog_experiments.lifecycle.coverage import RAMP_COLUMNS, settle_ramp
from catalog_experiments.locking import locked_bundles, locked_experiment, save_change
from catalog_experiments.models import Experiment
from catalog_experiments.phases import open_phase
from catalog_experiments.publication import overrides, slots
from catalog_experiments.transitions import IllegalMove, legal_moves

SLOT_ACTOR = "system:slots"
_SLOT_CAME_FREE = "the slot of the page came free"


def release_slots(*, now: datetime) -> int:
    """Let experiments that wait take slots that came free, each in its own transaction; return how many did.

    Called after each commit that frees a slot, and again by a regular job in case a process died in between. Safe to
    repeat.
    """
    return sum(_release(experiment_id, now=now) for experiment_id in slots.waiting().values_list("pk", flat=True))


def republish(experiment: Experiment, *, actor: str, now: datetime, reason: str) -> None:
    """Bring the pending edits of a locked running experiment live; without any, nothing is written."""
    former = current_phase(experiment)
    applied = apply_pending(experiment)
    reasons = new_phase_reasons(experiment, applied)
    if not applied.after and not reasons:
        return
    phase = settle_phase(experiment, reasons, why=reason, now=now)
    if reasons:
        overrides.record_live(experiment, now=now)
    if phase.anchor_product_slug != former.anchor_product_slug:
        take_slot(experiment, now=now)
        release_slots_after_commit(now)
    experiment.published_at = now
    settle_ramp(experiment, applied.after, now=now)
    save_change(experiment, *{*applied.columns, *RAMP_COLUMNS}, "published_at", "metadata")
    before = applied.before | {"phase": former.number}
    after = applied.after | {"phase": phase.number, "new_phase_because": list(reasons)}
    finish(experiment, actor=actor, action="publish", reason=reason, before=before, after=after, now=now)


def renew(experiment: Experiment, *, actor: str, action: str, reason: str, now: datetime) -> None:
    """Open a new phase of a locked running experiment on what is stored, serve it, and note who and why."""
    before = {"phase": current_phase(experiment).number}
    phase = open_phase(experiment, reason=reason, now=now, origin=current_phase(experiment).origin)
    overrides.record_live(experiment, now=now)
    save_change(experiment, "metadata")
    finish(experiment, actor=actor, action=action, reason=reason, before=before, after={"phase": phase.number}, now=now)


def open_new_phase(
    experiment_id: UUID, *, actor: str, now: datetime, reason: str, expected_version: int | None = None
) -> Experiment:
    """Start a running experiment's count again from zero, as a person does after a latched hold.

    Raises:
        ExperimentNotFound: there is none.
        StaleVersion: it changed since the caller read it.
        IllegalMove: it does not run.
    """
    with transaction.atomic():
        experiment = locked_experiment(experiment_id, expected_version)
        if not experiment.is_running:
            raise IllegalMove(experiment.status, "open a new phase", legal_moves(experiment.status))
        locked_bundles(offered_slugs(experiment))
        renew(experiment, actor=actor, action="open_phase", reason=reason, now=now)
    return experiment


def release_slots_after_commit(now: datetime) -> None:
    """Let waiting experiments have the slots that this transaction frees, once it is committed."""
    # Its own transaction, since whoever waits is another experiment, which must be locked before the document. Robust:
    # the transition has happened, and a regular job repeats what fails here.
    transaction.on_commit(partial(release_slots, now=now), robust=True)


def _release(experiment_id: UUID, *, now: datetime) -> bool:
    with transaction.atomic():
        experiment = locked_experiment(experiment_id)
        if not (experiment.is_running and slots.waits(experiment)):
            return False
        locked_bundles(offered_slugs(experiment))
        if take_slot(experiment, now=now):
            return False
        renew(experiment, actor=SLOT_ACTOR, action="slot", reason=_SLOT_CAME_FREE, now=now)
    return True
