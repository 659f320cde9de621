"""Judge running experiments and act: verdict, pause, event, document and alert in one transaction."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import OperationalError, transaction
from psycopg.errors import LockNotAvailable

from catalog_experiments import lifecycle
from catalog_experiments.aggregation import refresh_tallies
from catalog_experiments.enforcement.alerts import drafts_of, pause_reason
from catalog_experiments.enforcement.failures import clear_failures, record_failure
from catalog_experiments.enforcement.frame import EvaluationFrame, load_frames
from catalog_experiments.enforcement.judgement import Judgement, judge_frame
from catalog_experiments.enforcement.records import append_record
from catalog_experiments.guardrails import VariantVerdict, Verdict, to_record
from catalog_experiments.models import (
    EvaluationAction,
    Experiment,
    GuardrailEvaluation,
    PauseCause,
    PhaseOrigin,
)
from notifications.outbox import enqueue

logger = logging.getLogger(__name__)

ACTOR = "system:guardrails"


@dataclass(frozen=True, slots=True)
class EvaluationOutcome:
    """What one evaluation came to.

    `evaluation` is the record that stands for the present data, new or old; None when the experiment is not judged.
    `superseded` says that a person or another evaluator was faster: nothing was done.
    """

    evaluation: GuardrailEvaluation | None
    paused: bool = False
    alerts: int = 0
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class TickResult:
    """What one round over all running experiments came to; `errors` holds "slug: what went wrong"."""

    evaluated: int
    paused: int
    alerts: int
    errors: tuple[str, ...] = ()


def evaluate(experiment_id: uuid.UUID, *, now: datetime, trigger: str = "schedule") -> EvaluationOutcome:
    """Judge one running experiment on fresh numbers and act on the verdict.

    Writes one frozen record when the data changed, and nothing when it did not. A pause commits together with its
    event, the storefront's new document and the alert, or not at all. Experiments that do not run, and those that were
    seeded or imported, are not judged.

    Raises:
        Experiment.DoesNotExist: there is no such experiment.
        GuardrailConfigError: its stored guardrails are not valid.
    """
    experiment = Experiment.objects.select_related("current_phase").get(pk=experiment_id)
    if not _is_judged(experiment):
        return EvaluationOutcome(None)
    watermark_at = refresh_tallies([experiment_id], now=now)
    frame = load_frames([experiment], watermark_at=watermark_at)[experiment_id]
    return _act(frame, now=now, trigger=trigger)


def evaluate_due(*, now: datetime, trigger: str = "schedule") -> TickResult:
    """Judge every running experiment, each in a transaction of its own; one that fails never stops the rest."""
    experiments = list(Experiment.objects.running().select_related("current_phase").order_by("pk"))
    judged = [experiment for experiment in experiments if _is_judged(experiment)]
    outcomes, errors = list[EvaluationOutcome](), list[str]()
    frames = _fresh_frames(judged, now)
    for experiment in judged:
        try:
            frame = frames.get(experiment.pk)
            outcome = (
                _act(frame, now=now, trigger=trigger) if frame else evaluate(experiment.pk, now=now, trigger=trigger)
            )
            clear_failures(experiment)
            outcomes.append(outcome)
        except Exception as error:  # whatever it is, the next experiment's guardrails must still be looked at
            logger.exception("guardrails of %s could not be judged", experiment.slug)
            record_failure(experiment, error, now=now)
            errors.append(f"{experiment.slug}: {type(error).__name__}: {error}")
    return TickResult(
        evaluated=len(outcomes),
        paused=sum(outcome.paused for outcome in outcomes),
        alerts=sum(outcome.alerts for outcome in outcomes),
        errors=tuple(errors),
    )


def _is_judged(experiment: Experiment) -> bool:
    phase = experiment.current_phase
    return experiment.is_running and phase is not None and phase.origin == PhaseOrigin.PUBLISHED


def _fresh_frames(experiments: Sequence[Experiment], now: datetime) -> Mapping[uuid.UUID, EvaluationFrame]:
    """Load all frames at once; empty when that fails, so that each experiment is then tried by itself."""
    if not experiments:
        return {}
    try:
        watermark_at = refresh_tallies([experiment.pk for experiment in experiments], now=now)
        return load_frames(experiments, watermark_at=watermark_at)
    except Exception:
        logger.exception("the running experiments could not be refreshed together; each is tried by itself")
        return {}


def _act(frame: EvaluationFrame, *, now: datetime, trigger: str) -> EvaluationOutcome:
    judgement = judge_frame(frame)
    if judgement.is_unchanged:
        return EvaluationOutcome(frame.previous)
    try:
        with transaction.atomic():
            return _act_locked(judgement, now=now, trigger=trigger)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        logger.info("%s is being changed by somebody else; judged again at the next round", frame.experiment.slug)
        return EvaluationOutcome(None, superseded=True)


def _act_locked(judgement: Judgement, *, now: datetime, trigger: str) -> EvaluationOutcome:
    frame = judgement.frame
    [experiment] = Experiment.objects.locked([frame.experiment.pk])
    existing = GuardrailEvaluation.objects.filter(phase=frame.phase, inputs_digest=judgement.inputs_digest).first()
    if existing is not None:
        return EvaluationOutcome(existing, superseded=existing.action == EvaluationAction.PAUSED)
    if not _is_still_current(frame.experiment, experiment):
        return EvaluationOutcome(_record_superseded(judgement, experiment, now, trigger), superseded=True)
    stopped = [verdict for verdict in judgement.verdicts if verdict.should_pause]
    if stopped:
        _pause(experiment, stopped, now)
    # The chain's head is locked last, so that nobody waits for it while it waits for others.
    action = _action(judgement, is_paused=bool(stopped))
    record = _record(judgement, action, now, trigger)
    drafts = drafts_of(judgement, record=record, action=action)
    alerts = sum(enqueue(draft, now=now) is not None for draft in drafts)
    return EvaluationOutcome(record, paused=bool(stopped), alerts=alerts)


def _is_still_current(seen: Experiment, locked: Experiment) -> bool:
    return (
        locked.is_running
        and locked.current_phase_id == seen.current_phase_id
        and locked.lock_version == seen.lock_version
    )


def _pause(experiment: Experiment, stopped: Sequence[VariantVerdict], now: datetime) -> None:
    is_outage = any(verdict.verdict == Verdict.OUTAGE for verdict in stopped)
    lifecycle.pause(
        experiment.pk,
        actor=ACTOR,
        now=now,
        reason=pause_reason(stopped),
        cause=PauseCause.OUTAGE if is_outage else PauseCause.BREACHED,
        push_baseline=True,
    )


def _action(judgement: Judgement, *, is_paused: bool) -> EvaluationAction:
    if is_paused:
        return EvaluationAction.PAUSED
    if any(verdict.would_pause for verdict in judgement.verdicts):
        return EvaluationAction.WOULD_PAUSE
    has_news = any(True for _ in drafts_of(judgement, record=None, action=EvaluationAction.NONE))
    return EvaluationAction.ALERTED if has_news else EvaluationAction.NONE


def _record(judgement: Judgement, action: EvaluationAction, now: datetime, trigger: str) -> GuardrailEvaluation:
    return append_record(
        experiment=judgement.frame.experiment,
        phase=judgement.frame.phase,
        inputs=judgement.inputs,
        verdict=judgement.verdict,
        verdicts=to_record(judgement.verdicts),
        action=action,
        trigger=trigger,
        watermark_at=judgement.frame.watermark_at,
        now=now,
    )


def _record_superseded(judgement: Judgement, locked: Experiment, now: datetime, trigger: str) -> GuardrailEvaluation:
    # Named in the inputs, so that the same data counts as new when it is judged again.
    seen = {"lock_version": judgement.frame.experiment.lock_version, "evaluated_at": now.isoformat()}
    found = {"lock_version": locked.lock_version, "status": locked.status}
    return append_record(
        experiment=judgement.frame.experiment,
        phase=judgement.frame.phase,
        inputs={**judgement.inputs, "superseded": {"seen": seen, "found": found}},
        verdict=judgement.verdict,
        verdicts=to_record(judgement.verdicts),
        action=EvaluationAction.SUPERSEDED,
        trigger=trigger,
        watermark_at=judgement.frame.watermark_at,
        now=now,
    )
