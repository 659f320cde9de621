"""Why a machine paused an experiment, read from its frozen records: the evidence on its way, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max
from django.db.models.functions import TruncHour

from catalog_experiments.guardrails import BoundEvidence, VariantVerdict, from_record
from catalog_experiments.guardrails.outlook import Outlook, next_day
from catalog_experiments.models import EvaluationAction, GuardrailEvaluation

STOPPING = (EvaluationAction.PAUSED, EvaluationAction.WOULD_PAUSE)
MOST_RECORDS = 200
"""Records of a phase that are all read; of more, each hour's last one."""

MOST_HOURS = 1_000
"""Hours of a path that are read, the newest ones: six weeks."""


@dataclass(frozen=True, slots=True)
class PathPoint:
    """What one record said of a bound: log E (None for a drop), the variant's counts then, and the bound's limit.

    That of a drop is the upper end of its one-sided sequence, which pauses below 0; None while too little is known.
    """

    at: datetime
    log_e: float | None
    sample: int
    accepted: int
    verdict: str
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The variant that was stopped, the bound that stopped it, how the evidence grew, and the next day's outlook.

    `path` holds the records of the phase, of many each hour's last, oldest first, the stopping one at the end.
    `control` is the control's verdict beside it, None without one. `outlook` is empty when the record counted no
    exposures.
    """

    record: GuardrailEvaluation
    stopped: VariantVerdict
    evidence: BoundEvidence
    control: VariantVerdict | None
    path: tuple[PathPoint, ...]
    outlook: tuple[Outlook, ...]


def explain(record: GuardrailEvaluation) -> Explanation | None:
    """Explain a record that stopped a variant, or would have in shadow mode; None for any other.

    Of several stopped variants it is the one with the strongest evidence.
    """
    verdicts = from_record(record.verdicts)
    crossed = [
        (verdict, evidence)
        for verdict in verdicts
        if verdict.would_pause
        for evidence in verdict.evidence
        if evidence.is_crossed or evidence.is_outage
    ]
    if record.action not in STOPPING or not crossed:
        return None
    stopped, evidence = max(crossed, key=lambda pair: _strength(pair[1]))
    return Explanation(
        record=record,
        stopped=stopped,
        evidence=evidence,
        control=next((verdict for verdict in verdicts if verdict.is_control), None),
        path=_path(record, stopped.variant_key, evidence.bound),
        outlook=next_day(record.inputs, rates_since=evidence.span.opened_at if evidence.span else None),
    )


def _strength(evidence: BoundEvidence) -> float:
    return evidence.log_e if evidence.log_e is not None else 0.0


def _path(record: GuardrailEvaluation, variant_key: str, bound: str) -> tuple[PathPoint, ...]:
    of_phase = GuardrailEvaluation.objects.filter(phase=record.phase_id, sequence__lte=record.sequence)
    if of_phase.count() > MOST_RECORDS:
        hours = of_phase.annotate(hour_at=TruncHour("watermark_at")).values("hour_at").annotate(last=Max("sequence"))
        of_phase = of_phase.filter(sequence__in=hours.order_by("-hour_at").values("last")[:MOST_HOURS])
    rows = of_phase.order_by("sequence")
    points = (_point(*row, variant_key, bound) for row in rows.values_list("watermark_at", "verdicts"))
    return tuple(point for point in points if point is not None)


def _point(at: datetime, verdicts: list[dict[str, Any]], variant_key: str, bound: str) -> PathPoint | None:
    for verdict in verdicts:
        if verdict["variant_key"] == variant_key:
            said = next((one for one in verdict["evidence"] if one["bound"] == bound), {"log_e": None, "limit": None})
            counts = verdict["sample"], verdict["accepted"]
            return PathPoint(at, said["log_e"], *counts, verdict["verdict"], said["limit"])
    return None
