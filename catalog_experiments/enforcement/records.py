"""The chain of evaluation records: each carries the hash of the one before, so that a change shows where it is."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import connection, transaction

from catalog_experiments.enforcement.canonical import canonical_json, digest, plain, text_of
from catalog_experiments.guardrails import RULE_VERSION, UnknownRuleVersion, from_record, gravest, judge_record
from catalog_experiments.models import (
    EvaluationAction,
    EvaluationHead,
    Experiment,
    ExperimentStatus,
    GuardrailEvaluation,
    PauseCause,
    Phase,
    PhaseOrigin,
)
from catalog_experiments.models.fields import time_ordered_id

logger = logging.getLogger(__name__)

HASHED_FIELDS = (
    "id",
    "sequence",
    "experiment_id",
    "phase_id",
    "evaluated_at",
    "watermark_at",
    "trigger",
    "inputs",
    "inputs_digest",
    "verdict",
    "verdicts",
    "action",
    "rule_version",
)
STORED_FIELDS = (*HASHED_FIELDS, "previous_hash", "record_hash")

APPEND = f"""
INSERT INTO catalog_bundle_experiment_guardrail_evaluations ({", ".join(STORED_FIELDS)})
SELECT {", ".join(STORED_FIELDS)} FROM jsonb_to_recordset(%s::jsonb) AS record(
    id uuid, sequence bigint, experiment_id uuid, phase_id uuid, evaluated_at timestamptz, watermark_at timestamptz,
    trigger text, inputs jsonb, inputs_digest text, verdict text, verdicts jsonb, action text, rule_version text,
    previous_hash text, record_hash text)"""  # noqa: S608 - made of the names above


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDraft:
    """What one evaluation came to, before it has its place in the chain; times are aware and in UTC.

    `inputs` are plain (see `canonical`), as they will be read back.
    """

    experiment: Experiment
    phase: Phase
    inputs: Mapping[str, Any]
    inputs_digest: str
    verdict: str
    verdicts: list[dict[str, Any]]
    action: str
    trigger: str
    watermark_at: datetime
    evaluated_at: datetime


def append_records(drafts: Sequence[RecordDraft]) -> list[GuardrailEvaluation]:
    """Append records to the chain in the order given, in four statements for any number of them.

    Call it inside a transaction, after all other locks: it waits for other writers of the chain until they commit.
    """
    head = _locked_head()
    records = []
    for draft in drafts:
        record = _chained(draft, head)
        head.sequence, head.record_hash = record.sequence, record.record_hash
        records.append(record)
    if records:
        _insert(records)
        head.save(update_fields=["sequence", "record_hash"])
        transaction.on_commit(partial(_log, records))
    return records


def _log(records: Sequence[GuardrailEvaluation]) -> None:
    for record in records:
        told = (record.sequence, record.experiment.slug, record.verdict, record.action)
        named = {name: _as_json(getattr(record, name)) for name in ("watermark_at", "phase_id", "record_hash")}
        logger.info("evaluation %d of %s: %s, action %s", *told, extra=named)


def _insert(records: Sequence[GuardrailEvaluation]) -> None:
    # As one JSON text: `bulk_create` would write each record's JSON into an array and escape every quote in it, which
    # takes as long as a third of the judging.
    rows = text_of([{name: _as_json(getattr(record, name)) for name in STORED_FIELDS} for record in records])
    with connection.cursor() as cursor:
        cursor.execute(APPEND, [rows])


def _locked_head() -> EvaluationHead:
    locked = EvaluationHead.objects.select_for_update()
    if head := locked.first():
        return head
    newest = GuardrailEvaluation.objects.order_by("-sequence").values_list("sequence", "record_hash").first()
    sequence, record_hash = newest or (0, "")
    EvaluationHead.objects.bulk_create(
        [EvaluationHead(sequence=sequence, record_hash=record_hash)], ignore_conflicts=True
    )
    return locked.get()


def _chained(draft: RecordDraft, head: EvaluationHead) -> GuardrailEvaluation:
    record = GuardrailEvaluation(
        id=time_ordered_id(),
        sequence=head.sequence + 1,
        experiment=draft.experiment,
        phase=draft.phase,
        evaluated_at=draft.evaluated_at,
        watermark_at=draft.watermark_at,
        trigger=draft.trigger,
        inputs=draft.inputs,
        inputs_digest=draft.inputs_digest,
        verdict=str(draft.verdict),
        verdicts=plain(draft.verdicts),
        action=str(draft.action),
        rule_version=RULE_VERSION,
        previous_hash=head.record_hash,
    )
    record.record_hash = hash_of(record)
    return record


def hash_of(record: GuardrailEvaluation) -> str:
    """Return the SHA-256 over the previous hash and the canonical text of the record's content."""
    content = {name: _as_json(getattr(record, name)) for name in HASHED_FIELDS}
    return hashlib.sha256(f"{record.previous_hash}{text_of(content)}".encode()).hexdigest()


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value if isinstance(value, (int, str, list, dict)) else str(value)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """How many records were recomputed, and the first that does not hold, in words; None when all do."""

    checked: int
    first_difference: str | None = None


def verify_chain(*, progress: Callable[[int, int], None] | None = None) -> VerifyResult:
    """Recompute every verdict from its own record and every hash from its predecessor's; stop at the first difference.

    Finds a changed, removed, inserted or reordered record, and records cut off the end: the chain's head is kept apart.
    Records that are appended meanwhile do no harm.

    Args:
        progress: called with (records done, records in all).
    """
    head, total = EvaluationHead.objects.first(), GuardrailEvaluation.objects.count()
    previous, checked = None, 0
    for record in GuardrailEvaluation.objects.order_by("sequence").iterator(chunk_size=500):
        difference = next(_differences(record, previous, head), None)
        if difference:
            return VerifyResult(checked, f"record {record.sequence}: {difference}")
        previous, checked = record, checked + 1
        if progress:
            progress(checked, total)
    return VerifyResult(checked, _cut_off(head, previous) or _pause_without_record())


def _differences(
    record: GuardrailEvaluation, previous: GuardrailEvaluation | None, head: EvaluationHead | None
) -> Iterator[str]:
    expected = previous.sequence + 1 if previous else 1
    if record.sequence != expected:
        yield f"record {expected} is missing before it"
    if record.previous_hash != (previous.record_hash if previous else ""):
        yield "it does not follow the record before it: its previous hash is another"
    if record.record_hash != hash_of(record):
        yield "its content was changed: the hash of it is another"
    if record.inputs_digest != digest(record.inputs):
        yield "the digest of its inputs is another"
    yield from _verdict_differences(record)
    if head is not None and record.sequence == head.sequence and record.record_hash != head.record_hash:
        yield "it is not the record with which the chain ended: the head's hash is another"


def _verdict_differences(record: GuardrailEvaluation) -> Iterator[str]:
    try:
        recomputed = plain(judge_record(record.inputs))
    except UnknownRuleVersion as error:
        yield f"it cannot be judged again: {error}"
        return
    except (KeyError, TypeError, ValueError) as error:
        yield f"its inputs are damaged: {type(error).__name__}: {error}"
        return
    for stored, again in zip(record.verdicts, recomputed, strict=False):
        if canonical_json(stored) != canonical_json(again):
            yield f"variant {again['variant_key']!r}: judged again it is {again['verdict']}, not as recorded"
    if len(record.verdicts) != len(recomputed):
        yield "it holds verdicts for another number of variants"
    if record.verdict != gravest(from_record(recomputed)):
        yield "its overall verdict is not the gravest of its variants"


def _cut_off(head: EvaluationHead | None, last: GuardrailEvaluation | None) -> str | None:
    """Say what is missing at the end, or stands past it; `head` was read before the records were."""
    found = last.sequence if last else 0
    if head is None:
        has_lost_it = found and not EvaluationHead.objects.exists()
        return f"the chain of {found} records has lost its head" if has_lost_it else None
    if found < head.sequence:
        return f"record {found + 1} is missing at the end of the chain, which went on to {head.sequence}"
    grown = EvaluationHead.objects.get()
    return f"record {grown.sequence + 1} was not appended: the chain ends before it" if found > grown.sequence else None


def _pause_without_record() -> str | None:
    paused = Experiment.objects.filter(
        status=ExperimentStatus.PAUSED,
        pause_cause__in=[PauseCause.BREACHED, PauseCause.OUTAGE],
        current_phase__origin=PhaseOrigin.PUBLISHED,
    )
    recorded = GuardrailEvaluation.objects.filter(action=EvaluationAction.PAUSED).values("phase_id")
    experiment = paused.exclude(current_phase_id__in=recorded).order_by("paused_at").first()
    if experiment is None:
        return None
    return f"the record that paused {experiment.slug!r} at {experiment.paused_at} is missing at the end of the chain"
