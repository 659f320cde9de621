"""Judge running experiments and act: verdict, pause, event, document and alert in one transaction."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import OperationalError, transaction
from psycopg.errors import LockNotAvailable

from catalog_experiments import lifecycle
from catalog_experiments.aggregation import refresh_tallies
from catalog_experiments.enforcement.alerts import drafts_of, pause_reason
from catalog_experiments.enforcement.canonical import digest_of, plain
from catalog_experiments.enforcement.frame import load_frames
from catalog_experiments.enforcement.gaps import moves_gaps, note_gaps
from catalog_experiments.enforcement.judgement import Judgement, judge_frame
from catalog_experiments.enforcement.quality_alerts import alarms_of
from catalog_experiments.enforcement.records import RecordDraft, append_records
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
    if not is_judged(experiment):
        return EvaluationOutcome(None)
    watermark_at = refresh_tallies([experiment_id], now=now)
    frame = load_frames([experiment], watermark_at=watermark_at, now=now)[experiment_id]
    return act(judge_frame(frame), now=now, trigger=trigger)


def is_judged(experiment: Experiment) -> bool:
    """Say whether guardrails look at an experiment: it runs, and shoppers meet it."""
    phase = experiment.current_phase
    return experiment.is_running and phase is not None and phase.origin == PhaseOrigin.PUBLISHED


def act(judgement: Judgement, *, now: datetime, trigger: str) -> EvaluationOutcome:
    """Record a judgement and do what it says, in one transaction; an unchanged one needs nothing.

    Gives way when somebody else is changing the experiment just now: the next round judges it again.
    """
    if judgement.is_unchanged:
        return EvaluationOutcome(judgement.frame.previous)
    try:
        with transaction.atomic():
            return _act_locked(judgement, now=now, trigger=trigger)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        slug = judgement.frame.experiment.slug
        logger.info("%s is being changed by somebody else; judged again at the next round", slug)
        return EvaluationOutcome(None, superseded=True)


def is_quiet(judgement: Judgement) -> bool:
    """Say whether a judgement asks for nothing but its record: no pause, and nothing to tell anybody."""
    frame = judgement.frame
    if moves_gaps(frame, judgement.inputs) or any(True for _ in alarms_of(frame)):
        return False
    return _action(judgement, is_paused=False) == EvaluationAction.NONE


def record_quiet(judgements: Sequence[Judgement], *, now: datetime, trigger: str) -> list[EvaluationOutcome]:
    """Record quiet judgements in one transaction, with a constant number of statements; outcomes in their order.

    Raises:
        DatabaseError: nothing was recorded; each may then be tried by itself.
    """
    with transaction.atomic():
        ids = [judgement.frame.experiment.pk for judgement in judgements]
        states = Experiment.objects.only("status", "current_phase", "lock_version")  # nothing else may have moved
        locked = {experiment.pk: experiment for experiment in states.locked(ids)}
        known = _recorded(judgements)
        fresh = [each for each in judgements if _key(each) not in known]
        drafts = [_quiet_draft(each, locked[each.frame.experiment.pk], now, trigger) for each in fresh]
        added = dict(zip(map(_key, fresh), append_records(drafts), strict=True))
    outcomes = [(added.get(_key(each)) or known[_key(each)], _key(each) in added) for each in judgements]
    return [EvaluationOutcome(record, superseded=_is_superseded(record, is_new)) for record, is_new in outcomes]


def _act_locked(judgement: Judgement, *, now: datetime, trigger: str) -> EvaluationOutcome:
    frame = judgement.frame
    [experiment] = Experiment.objects.locked([frame.experiment.pk])
    existing = _recorded([judgement]).get(_key(judgement))
    if existing is not None:
        return EvaluationOutcome(existing, superseded=_is_superseded(existing, is_new=False))
    if not _is_still_current(frame.experiment, experiment):
        [record] = append_records([_superseded_draft(judgement, experiment, now, trigger)])
        return EvaluationOutcome(record, superseded=True)
    stopped = [verdict for verdict in judgement.verdicts if verdict.should_pause]
    if stopped:
        _pause(experiment, stopped, pause_reason(judgement, stopped), now)
    # The chain's head is locked last, so that nobody waits for it while it waits for others.
    action = _action(judgement, is_paused=bool(stopped))
    [record] = append_records([_draft(judgement, action, now, trigger)])
    note_gaps(frame, judgement.inputs)
    drafts = (*drafts_of(judgement, record=record, action=action), *alarms_of(frame))
    alerts = sum(enqueue(draft, now=now) is not None for draft in drafts)
    return EvaluationOutcome(record, paused=bool(stopped), alerts=alerts)


def _key(judgement: Judgement) -> tuple[uuid.UUID, str]:
    return judgement.frame.phase.pk, judgement.inputs_digest


def _recorded(judgements: Sequence[Judgement]) -> dict[tuple[uuid.UUID, str], GuardrailEvaluation]:
    """Return the records that another evaluator made of the same data meanwhile."""
    phases, digests = zip(*map(_key, judgements), strict=True)
    rows = GuardrailEvaluation.objects.filter(phase__in=phases, inputs_digest__in=digests)
    return {(row.phase_id, row.inputs_digest): row for row in rows}


def _is_superseded(record: GuardrailEvaluation, is_new: bool) -> bool:
    # A pause found on record was somebody else's; a record of its own says by itself that it came too late.
    return record.action == (EvaluationAction.SUPERSEDED if is_new else EvaluationAction.PAUSED)


def _is_still_current(seen: Experiment, locked: Experiment) -> bool:
    return (
        locked.is_running
        and locked.current_phase_id == seen.current_phase_id
        and locked.lock_version == seen.lock_version
    )


def _pause(experiment: Experiment, stopped: Sequence[VariantVerdict], reason: str, now: datetime) -> None:
    is_outage = any(verdict.verdict == Verdict.OUTAGE for verdict in stopped)
    lifecycle.pause(
        experiment.pk,
        actor=ACTOR,
        now=now,
        reason=reason,
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


def _quiet_draft(judgement: Judgement, locked: Experiment, now: datetime, trigger: str) -> RecordDraft:
    if _is_still_current(judgement.frame.experiment, locked):
        return _draft(judgement, EvaluationAction.NONE, now, trigger)
    return _superseded_draft(judgement, locked, now, trigger)


def _draft(judgement: Judgement, action: EvaluationAction, now: datetime, trigger: str) -> RecordDraft:
    return RecordDraft(
        experiment=judgement.frame.experiment,
        phase=judgement.frame.phase,
        inputs=judgement.inputs,
        inputs_digest=judgement.inputs_digest,
        verdict=judgement.verdict,
        verdicts=to_record(judgement.verdicts),
        action=action,
        trigger=trigger,
        watermark_at=judgement.frame.watermark_at,
        evaluated_at=now,
    )


def _superseded_draft(judgement: Judgement, locked: Experiment, now: datetime, trigger: str) -> RecordDraft:
    # Named in the inputs, so that the same data counts as new when it is judged again.
    seen = {"lock_version": judgement.frame.experiment.lock_version, "evaluated_at": now.isoformat()}
    found = {"lock_version": locked.lock_version, "status": locked.status}
    inputs = {**judgement.inputs, "superseded": {"seen": seen, "found": plain(found)}}
    draft = _draft(judgement, EvaluationAction.SUPERSEDED, now, trigger)
    return replace(draft, inputs=inputs, inputs_digest=digest_of(inputs))
