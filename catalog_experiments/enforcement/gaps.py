"""The stretches in which a phase's data could not be trusted: noted as a passing hold begins, closed as it ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from catalog_experiments.enforcement.frame import EvaluationFrame
from catalog_experiments.enforcement.holds import AGGREGATION_STALE, LATCHED, TELEMETRY_SILENT
from catalog_experiments.guardrails.verdicts import HEAVY_REVISION, REVISED_ONE_IN
from catalog_experiments.models import TelemetryGap

Inputs = Mapping[str, Any]
"""Those of a record, see `guardrails.record_inputs`."""


def moves_gaps(frame: EvaluationFrame, inputs: Inputs) -> bool:
    """Say whether a passing hold began or ended since the previous record."""
    return _passing(inputs) != _passing_before(frame)


def note_gaps(frame: EvaluationFrame, inputs: Inputs) -> None:
    """Open a gap for each passing hold that is new since the previous record, and end those that are over.

    Call it in the transaction of the record, with the experiment locked. Writes nothing when nothing began or ended.
    """
    before, now = _passing_before(frame), _passing(inputs)
    for cause in sorted(now - before):
        TelemetryGap.objects.get_or_create(
            phase=frame.phase, cause=cause, ended_at=None, defaults={"started_at": _started_at(frame, cause)}
        )
    if over := before - now:
        gaps = TelemetryGap.objects.filter(phase=frame.phase, cause__in=over, ended_at__isnull=True)
        gaps.update(ended_at=frame.watermark_at)


def _passing(inputs: Inputs) -> set[str]:
    # The judgement itself finds a heavy revision: it stands in the counts, not among the holds that it was told.
    return (set(inputs["holds"]) - LATCHED) | ({HEAVY_REVISION} if _is_heavily_revised(inputs) else set())


def _is_heavily_revised(inputs: Inputs) -> bool:
    return any(
        own["revised_count"] * REVISED_ONE_IN > sum(n for _, n, _ in own["tallies"]) for own in inputs["observations"]
    )


def _passing_before(frame: EvaluationFrame) -> set[str]:
    return _passing(frame.previous.inputs) if frame.previous else set()


def _started_at(frame: EvaluationFrame, cause: str) -> datetime:
    good_at = {
        TELEMETRY_SILENT: frame.quality.seen_at,
        AGGREGATION_STALE: frame.quality.stale_since,
        HEAVY_REVISION: frame.previous.watermark_at if frame.previous else None,
    }.get(cause)
    return min(good_at or frame.watermark_at, frame.watermark_at)
