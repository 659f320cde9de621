"""The chain of evaluation records: each carries the hash of the one before, so that a change shows where it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from catalog_experiments.enforcement.canonical import canonical_json, digest, plain
from catalog_experiments.guardrails import RULE_VERSION, UnknownRuleVersion, from_record, gravest, judge_record
from catalog_experiments.models import (
    EvaluationAction,
    Experiment,
    ExperimentStatus,
    GuardrailEvaluation,
    PauseCause,
    Phase,
    PhaseOrigin,
)
from catalog_experiments.models.fields import time_ordered_id

HEAD_LOCK = 0x736D_706C_0001
"""Key of the advisory lock that serialises writers of the chain's head; ends with the transaction."""

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


def append_record(
    *,
    experiment: Experiment,
    phase: Phase,
    inputs: Mapping[str, Any],
    verdict: str,
    verdicts: list[dict[str, Any]],
    action: str,
    trigger: str,
    watermark_at: datetime,
    now: datetime,
) -> GuardrailEvaluation:
    """Append one record to the chain and return it; call it inside a transaction, after all other locks.

    Waits for other writers of the chain until they commit.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [HEAD_LOCK])
    head = GuardrailEvaluation.objects.order_by("-sequence").values_list("sequence", "record_hash").first()
    record = GuardrailEvaluation(
        id=time_ordered_id(),
        sequence=head[0] + 1 if head else 1,
        experiment=experiment,
        phase=phase,
        evaluated_at=now,
        watermark_at=watermark_at,
        trigger=trigger,
        inputs=plain(inputs),
        inputs_digest=digest(inputs),
        verdict=str(verdict),
        verdicts=plain(verdicts),
        action=str(action),
        rule_version=RULE_VERSION,
        previous_hash=head[1] if head else "",
    )
    record.record_hash = hash_of(record)
    record.save(force_insert=True)
    return record


def hash_of(record: GuardrailEvaluation) -> str:
    """Return the SHA-256 over the previous hash and the canonical text of the record's content."""
    content = {name: _as_json(getattr(record, name)) for name in HASHED_FIELDS}
    return hashlib.sha256(f"{record.previous_hash}{canonical_json(content)}".encode()).hexdigest()


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

    Finds a changed, removed, inserted or reordered record. Records cut off at the end are found when an automatic
    pause that they decided is still on record.

    Args:
        progress: called with (records done, records in all).
    """
    total, previous, checked = GuardrailEvaluation.objects.count(), None, 0
    for record in GuardrailEvaluation.objects.order_by("sequence").iterator(chunk_size=500):
        difference = next(_differences(record, previous), None)
        if difference:
            return VerifyResult(checked, f"record {record.sequence}: {difference}")
        previous, checked = record, checked + 1
        if progress:
            progress(checked, total)
    return VerifyResult(checked, _cut_off())


def _differences(record: GuardrailEvaluation, previous: GuardrailEvaluation | None) -> Iterator[str]:
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


def _cut_off() -> str | None:
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
