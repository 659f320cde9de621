"""The numbers and links that stand in every alert about a judgement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from catalog_experiments.enforcement.explanation import STOPPING
from catalog_experiments.enforcement.judgement import Judgement
from catalog_experiments.guardrails import BoundEvidence, Span, VariantVerdict
from catalog_experiments.models import Experiment, GuardrailEvaluation
from catalog_experiments.phrasing import rate_text, times_text

MOST_EXPONENT = 50.0
BOUND_NAMES = {
    "min_acceptance_rate": "least acceptance",
    "max_acceptance_rate": "most acceptance",
    "max_drop_vs_control": "largest drop against control",
    "exposure_share": "share of visitors",
}


def lines_of(judgement: Judgement, verdict: VariantVerdict) -> Iterator[dict[str, str]]:
    """Yield what a variant did, each bound it missed with the evidence, and the control beside it."""
    key = verdict.variant_key
    control = next((own for own in judgement.verdicts if own.is_control), None)
    yield {"label": f"{key}: accepted", "value": f"{verdict.accepted:,} of {verdict.sample:,} orders"}
    yield {"label": f"{key}: rate", "value": rate_text(verdict.rate)}
    for evidence in verdict.evidence:
        if evidence.is_crossed or evidence.is_estimate_outside:
            yield from _evidence_lines(key, evidence, control)
    if control is not None and control is not verdict:
        value = f"{control.accepted:,} of {control.sample:,} orders ({rate_text(control.rate)})"
        yield {
            "label": f"{control.variant_key} (control)" if control.variant_key != "control" else "control",
            "value": value,
        }


def _evidence_lines(key: str, evidence: BoundEvidence, control: VariantVerdict | None) -> Iterator[dict[str, str]]:
    name = BOUND_NAMES[evidence.bound]
    yield {"label": f"{key}: {name}", "value": rate_text(evidence.threshold)}
    if evidence.limit is not None and evidence.bound != "max_drop_vs_control":
        side = "at least" if evidence.bound == "max_acceptance_rate" else "at most"
        yield {"label": f"{key}: true rate", "value": f"{side} {rate_text(evidence.limit)}"}
    if evidence.log_e is not None:
        known = times_text(math.exp(min(evidence.log_e, MOST_EXPONENT)))
        value = f"{known}, pauses at {times_text(evidence.pause_line)}"
        yield {"label": f"{key}: evidence", "value": value}
    if evidence.span is not None and evidence.control is not None and not _is_whole(evidence.control, control):
        over = f"{evidence.control.accepted:,} of {evidence.control.n:,} ({rate_text(evidence.control.rate)})"
        yield {"label": f"control since {evidence.span.opened_at:%Y-%m-%d %H:%M} UTC", "value": over}


def _is_whole(counted: Span, control: VariantVerdict | None) -> bool:
    return control is not None and (counted.n, counted.accepted) == (control.sample, control.accepted)


def links_to(experiment: Experiment, record: GuardrailEvaluation | None) -> list[dict[str, str]]:
    """Return the page to decide on first, where there is one; then the experiment's, and the frozen record's."""
    page = experiment.page_url
    links = [{"label": "Open the experiment", "url": page}]
    if record is not None and record.action in STOPPING:
        links.insert(0, {"label": "Read why and decide", "url": f"{page}/pauses/{record.sequence}"})
    elif record is not None:
        links.append({"label": f"Evaluation {record.sequence}", "url": f"{page}/evaluations/{record.sequence}"})
    return links


def raw_data(judgement: Judgement, record: GuardrailEvaluation | None) -> dict[str, Any]:
    """Return what a program that receives the alert needs to find the record and check it."""
    frame = judgement.frame
    return {
        "experiment": frame.experiment.slug,
        "phase": frame.phase.number,
        "watermark_at": frame.watermark_at.isoformat(),
        "evaluation": str(record.pk) if record else None,
        "sequence": record.sequence if record else None,
        "record_hash": record.record_hash if record else None,
        "verdicts": record.verdicts if record else [],
    }
