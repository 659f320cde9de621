"""Publish, pause, resume, complete: the only writer of an experiment's status.

Each verb locks the experiment, changes it, and writes event, override publication and the next document in one
transaction, inside the caller's when there is one. What follows (a freed slot, a probe) comes after the commit.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from catalog_experiments.audit import record_event
from catalog_experiments.lifecycle.activation import (
    Applied,
    apply_pending,
    current_phase,
    finish,
    gap_cost,
    leave_page,
    new_phase_reasons,
    require_preflight,
    settle_phase,
    take_slot,
)
from catalog_experiments.lifecycle.conclusions import CONCLUSION_FIELDS, freeze_report, state_conclusion
from catalog_experiments.lifecycle.coverage import RAMP_COLUMNS, begin_ramp, restart_step, settle_ramp
from catalog_experiments.lifecycle.renewal import release_slots_after_commit, republish
from catalog_experiments.locking import locked_experiment, save_change
from catalog_experiments.models import Experiment, ExperimentStatus, PauseCause, PhaseOrigin
from catalog_experiments.phases import close_phase, open_phase
from catalog_experiments.publication import overrides
from catalog_experiments.transitions import require_legal

LATCHED = (PauseCause.BREACHED, PauseCause.OUTAGE)
_WHEN_RUNNING = (
    "status",
    "started_at",
    "published_at",
    "paused_at",
    "pause_cause",
    "pause_reason",
    "schedule_refusal",
    "metadata",
)


class ReasonRequired(ValueError):
    """This move is remembered with a reason; nothing was changed."""


def publish(
    experiment_id: UUID,
    *,
    actor: str,
    now: datetime,
    reason: str = "",
    expected_version: int | None = None,
    accept_warnings: bool = True,
) -> Experiment:
    """Make a draft live, or bring a running experiment's pending edits live.

    A running experiment without a change is returned as it is: nothing is written, so N publishers make one
    activation. A change of treatment or rules opens a new phase and the event says so; edited thresholds and a raised
    coverage go on in the open one.

    Raises:
        ExperimentNotFound: there is none.
        StaleVersion: it changed since the caller read it.
        IllegalMove: it is paused or completed.
        PreflightFailed: a check fails, or warns and `accept_warnings` is False.
    """
    with transaction.atomic():
        experiment = locked_experiment(experiment_id, expected_version)
        require_legal(experiment.status, "publish")
        require_preflight(experiment, now=now, accept_warnings=accept_warnings)
        if experiment.is_running:
            republish(experiment, actor=actor, now=now, reason=reason)
        else:
            _activate(experiment, actor=actor, now=now, reason=reason, verb="publish")
    return experiment


def pause(
    experiment_id: UUID,
    *,
    actor: str,
    now: datetime,
    reason: str,
    cause: str = PauseCause.PERSON,
    push_baseline: bool = False,
    expected_version: int | None = None,
) -> Experiment:
    """Serve the control to everyone; telemetry goes on.

    Args:
        experiment_id: a running experiment.
        actor: who or what pauses.
        now: when, aware and in UTC.
        reason: shown on the card until the experiment runs again.
        cause: decides whether a resume keeps the phase: after `breached` and `outage` it opens a new one.
        push_baseline: also put the bundles' CMS overrides back to what they were when the phase opened.
        expected_version: the lock version the caller saw.

    Raises:
        ExperimentNotFound, StaleVersion: as `publish`.
        IllegalMove: it does not run.
    """
    with transaction.atomic():
        experiment = locked_experiment(experiment_id, expected_version)
        require_legal(experiment.status, "pause")
        before = {"status": experiment.status}
        rolled_back = leave_page(experiment, now=now, push_baseline=push_baseline)
        experiment.status = ExperimentStatus.PAUSED
        experiment.paused_at, experiment.pause_cause, experiment.pause_reason = now, cause, reason
        save_change(experiment, "status", "paused_at", "pause_cause", "pause_reason", "metadata")
        after = {"status": experiment.status, "cause": cause, "rolled_back": list(rolled_back)}
        finish(experiment, actor=actor, action="pause", reason=reason, before=before, after=after, now=now)
        release_slots_after_commit(now)
    return experiment


def resume(
    experiment_id: UUID, *, actor: str, now: datetime, reason: str = "", expected_version: int | None = None
) -> Experiment:
    """Serve the variants again, pending edits included.

    After a person's pause the phase goes on and the gap cuts; after `breached` or `outage`, or when the treatment
    changed meanwhile, a new phase opens.

    Raises:
        ExperimentNotFound, StaleVersion, PreflightFailed: as `publish`.
        IllegalMove: it is not paused.
        ReasonRequired: the guardrails had paused it and no reason is given.
    """
    with transaction.atomic():
        experiment = locked_experiment(experiment_id, expected_version)
        require_legal(experiment.status, "resume")
        if experiment.pause_cause in LATCHED and not reason.strip():
            raise ReasonRequired("A guardrail paused it: say why it may run again.")
        require_preflight(experiment, now=now)
        _activate(experiment, actor=actor, now=now, reason=reason, verb="resume")
    return experiment


def complete(
    experiment_id: UUID,
    *,
    actor: str,
    now: datetime,
    conclusion: str = "",
    winner_key: str | None = None,
    learnings: str = "",
    reason: str = "",
    expected_version: int | None = None,
) -> Experiment:
    """End an experiment for good and freeze its report.

    `conclusion` is one of `Conclusion`; blank stays "not stated" until `conclude`. `winner_key` names the variant to
    ship, None goes on with the control; `learnings` are for the next one who asks.

    Raises:
        ExperimentNotFound, StaleVersion: as `publish`.
        IllegalMove: it is a draft or completed.
        InvalidExperiment: no such conclusion or variant.
    """
    with transaction.atomic():
        experiment = locked_experiment(experiment_id, expected_version)
        require_legal(experiment.status, "complete")
        before = {"status": experiment.status}
        state_conclusion(experiment, conclusion, winner_key, learnings)
        experiment.status, experiment.completed_at, experiment.pending_changes = ExperimentStatus.COMPLETED, now, {}
        # Before the phase closes: of a closed one every cohort counts as whole, also those cut just now.
        freeze_report(experiment, now=now)
        close_phase(current_phase(experiment), now=now)
        leave_page(experiment, now=now)
        changed = ("status", "completed_at", "pending_changes", "final_report", "metadata", *CONCLUSION_FIELDS)
        save_change(experiment, *changed)
        after = {"status": experiment.status, "conclusion": conclusion, "winner": winner_key}
        finish(experiment, actor=actor, action="complete", reason=reason, before=before, after=after, now=now)
        release_slots_after_commit(now)
    return experiment


def conclude(
    experiment_id: UUID,
    *,
    actor: str,
    now: datetime,
    conclusion: str,
    winner_key: str | None = None,
    learnings: str = "",
    expected_version: int | None = None,
) -> Experiment:
    """Fill in what a completed experiment came to; a shipped variant is served at once.

    Raises:
        ExperimentNotFound, StaleVersion: as `publish`.
        IllegalMove: it is not completed.
        InvalidExperiment: no such conclusion or variant.
    """
    with transaction.atomic():
        experiment = locked_experiment(experiment_id, expected_version)
        require_legal(experiment.status, "conclude")
        before = {"conclusion": experiment.conclusion, "winner": experiment.winner and experiment.winner.key}
        state_conclusion(experiment, conclusion, winner_key, learnings)
        save_change(experiment, *CONCLUSION_FIELDS)
        after = {"conclusion": conclusion, "winner": winner_key}
        finish(experiment, actor=actor, action="conclude", reason="", before=before, after=after, now=now)
    return experiment


def delete_draft(experiment_id: UUID, *, actor: str, now: datetime, expected_version: int | None = None) -> None:
    """Delete a draft; its events stay.

    Raises:
        ExperimentNotFound, StaleVersion: as `publish`.
        IllegalMove: it was published once.
    """
    with transaction.atomic():
        experiment = locked_experiment(experiment_id, expected_version)
        require_legal(experiment.status, "delete")
        record_event(experiment, actor=actor, action="delete", before={"status": experiment.status}, after={}, now=now)
        experiment.delete()


def adopt(experiment_id: UUID, *, origin: str, actor: str, now: datetime, salt: str | None = None) -> Experiment:
    """Let a draft run whose telemetry does not come from shoppers: seeded for QA, or imported from a file.

    No preflight, no document: the storefront never serves it. `now` is when its first phase opens.

    Raises:
        ExperimentNotFound: there is none.
        IllegalMove: it is no draft.
        ValueError: the origin is `published`; that is what `publish` is for.
    """
    if origin == PhaseOrigin.PUBLISHED:
        raise ValueError("Publish an experiment that shoppers meet; only seeded and imported ones are adopted.")
    with transaction.atomic():
        experiment = locked_experiment(experiment_id)
        require_legal(experiment.status, "publish")
        open_phase(experiment, reason=f"{origin} telemetry", now=now, origin=origin, salt=salt)
        _set_running(experiment, now=now)
        after = {"status": experiment.status, "origin": origin}
        finish(experiment, actor=actor, action="adopt", reason="", before={"status": "draft"}, after=after, now=now)
    return experiment


def _activate(experiment: Experiment, *, actor: str, now: datetime, reason: str, verb: str) -> None:
    former, cost = experiment.current_phase, gap_cost(experiment, now=now)
    before = {"status": experiment.status, "phase": former and former.number}
    applied = apply_pending(experiment)
    reasons = _reasons_to_renew(experiment, applied) if former else ()
    phase = settle_phase(experiment, reasons, why=reason, now=now)
    overrides.record_live(experiment, now=now)
    waits = take_slot(experiment, now=now)
    if former is None:
        begin_ramp(experiment, now=now)
    else:
        settle_ramp(experiment, applied.after, now=now)
        restart_step(experiment, now=now)
    _set_running(experiment, *{*applied.columns, *RAMP_COLUMNS}, now=now)
    after = {"status": experiment.status, "phase": phase.number, "new_phase_because": list(reasons)}
    after |= cost | {"waits_for_slot": waits}
    if experiment.ramp_step is not None:
        after |= {"ramp_step": experiment.ramp_step, "coverage": experiment.coverage}
    finish(
        experiment,
        actor=actor,
        action=verb,
        reason=reason,
        before=before | applied.before,
        after=after | applied.after,
        now=now,
    )


def _reasons_to_renew(experiment: Experiment, applied: Applied) -> tuple[str, ...]:
    latched = (f"resumed after {experiment.pause_cause}",) if experiment.pause_cause in LATCHED else ()
    return latched + new_phase_reasons(experiment, applied)


def _set_running(experiment: Experiment, *columns: str, now: datetime) -> None:
    experiment.status = ExperimentStatus.RUNNING
    experiment.started_at = experiment.started_at or now
    experiment.published_at = now
    experiment.paused_at, experiment.pause_cause, experiment.pause_reason = None, PauseCause.NONE, ""
    experiment.schedule_refusal = ""  # of a start that a person has made meanwhile; the end is still to come
    save_change(experiment, *_WHEN_RUNNING, *columns)
