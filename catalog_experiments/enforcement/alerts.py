"""What people are told of an evaluation: drafts of alerts, with the numbers of the verdict and the next step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from django.conf import settings

from catalog_experiments.enforcement.holds import LATCHED
from catalog_experiments.enforcement.judgement import Judgement
from catalog_experiments.guardrails import BoundEvidence, VariantVerdict, Verdict
from catalog_experiments.guardrails.verdicts import BOUND_UNFIT
from catalog_experiments.models import Experiment, GuardrailEvaluation
from catalog_experiments.phrasing import rate_text
from notifications.outbox import AlertDraft

MOST_SHOWN_EXPONENT = 12
BROKEN = (Verdict.BREACHED, Verdict.OUTAGE)
BOUND_NAMES = {
    "min_acceptance_rate": "lowest acceptance",
    "max_acceptance_rate": "highest acceptance",
    "max_drop_vs_control": "largest drop against control",
    "exposure_share": "share of visitors",
}
HOLD_SENTENCES = {
    "sample_ratio_mismatch": "the variants do not hold their planned shares of visitors",
    "mixed_units": "more than 1 % of visitors were seen with two variants",
    "client_faults": "more than 1 % of exposures claim another variant than the one assigned",
    "telemetry_silent": "no exposure has come in for three hours",
    "heavy_revision": "more than 5 % of the counted orders were revised since the last evaluation",
}
NEXT_STEPS = {
    "pause": "Look at the evidence. If the variant is at fault, complete the experiment; if not, resume with a reason: "
    "that opens a new phase which counts from zero.",
    "would_pause": "The guardrail is in shadow mode and paused nothing. Pause by hand, or switch the mode to enforce.",
    "control": "No variant is paused for this. Look at the shop: stock, prices, the page itself.",
    "unfit": "No variant is paused for this. Choose a bound that the control itself meets.",
    "latched": "Find the cause, then open a new phase: numbers of this one cannot be trusted any more.",
    "passing": "Nothing to decide: the hold ends by itself when the data is back.",
}


def drafts_of(judgement: Judgement, *, record: GuardrailEvaluation | None, action: str) -> Iterator[AlertDraft]:
    """Yield what is worth telling of a judgement: news since the previous record only.

    Args:
        judgement: the verdicts just reached.
        record: their frozen record, named in the alert.
        action: what enforcement did: `paused`, `would_pause` or something else.
    """
    stopped = [verdict for verdict in judgement.verdicts if verdict.would_pause]
    if action == "paused":
        yield _pause_draft(judgement, stopped, record)
    elif stopped and not _knew(judgement, lambda verdict: verdict["would_pause"]):
        yield _shadow_draft(judgement, stopped, record)
    yield from _control_drafts(judgement, record)
    yield from _hold_drafts(judgement, record)


def pause_reason(stopped: Sequence[VariantVerdict]) -> str:
    """Say in one line per variant why it was stopped, with its numbers."""
    return "; ".join(f"{verdict.variant_key}: {sentence_of(verdict)}" for verdict in stopped)


def sentence_of(verdict: VariantVerdict) -> str:
    """Say what a variant did against the bound that speaks loudest."""
    evidence = _loudest(verdict)
    if evidence is None:
        return f"{verdict.verdict} ({', '.join(verdict.codes)})"
    if evidence.bound == "exposure_share":
        share, planned = rate_text(evidence.estimate), rate_text(2 * evidence.threshold)
        return f"reaches {share} of visitors where {planned} were planned: it seems to fail before it is shown"
    if evidence.bound == "max_drop_vs_control":
        return f"conversion is down by more than {rate_text(evidence.threshold)} against control"
    side = "above" if evidence.bound == "max_acceptance_rate" else "below"
    return (
        f"{verdict.accepted:,} of {verdict.sample:,} buyers took the offer ({rate_text(verdict.rate)}), "
        f"{side} the bound of {rate_text(evidence.threshold)}"
    )


def times(log_e: float) -> str:
    """Write evidence as odds against chance, from its logarithm.

    >>> times(math.log(312)), times(200.0)
    ('312 to 1', 'more than 10^12 to 1')
    """
    if log_e > MOST_SHOWN_EXPONENT * math.log(10):
        return f"more than 10^{MOST_SHOWN_EXPONENT} to 1"
    return f"{math.exp(log_e):,.0f} to 1" if log_e > math.log(10) else f"{math.exp(log_e):.1f} to 1"


def _pause_draft(
    judgement: Judgement, stopped: Sequence[VariantVerdict], record: GuardrailEvaluation | None
) -> AlertDraft:
    is_outage = any(verdict.verdict == Verdict.OUTAGE for verdict in stopped)
    names = ", ".join(verdict.variant_key for verdict in stopped)
    slug = judgement.frame.experiment.slug
    return _draft(
        judgement,
        record,
        kind="guardrail_outage" if is_outage else "guardrail_breached",
        severity="critical",
        key="pause",
        subject=f"{slug} was paused: {names} {'failed outright' if is_outage else 'broke its guardrail'}",
        summary=f"{pause_reason(stopped)}. The storefront serves control again.",
        shown=stopped,
        next_step=NEXT_STEPS["pause"],
    )


def _shadow_draft(
    judgement: Judgement, stopped: Sequence[VariantVerdict], record: GuardrailEvaluation | None
) -> AlertDraft:
    slug = judgement.frame.experiment.slug
    return _draft(
        judgement,
        record,
        kind="guardrail_would_pause",
        severity="warning",
        key="would-pause",
        subject=f"{slug} would have been paused",
        summary=f"{pause_reason(stopped)}. Nothing was changed.",
        shown=stopped,
        next_step=NEXT_STEPS["would_pause"],
    )


def _control_drafts(judgement: Judgement, record: GuardrailEvaluation | None) -> Iterator[AlertDraft]:
    slug = judgement.frame.experiment.slug
    broken = [own for own in judgement.verdicts if own.is_control and own.verdict in BROKEN]
    unfit = [own for own in judgement.verdicts if BOUND_UNFIT in own.codes]
    if unfit and not _knew(judgement, lambda verdict: BOUND_UNFIT in verdict["codes"]):
        yield _draft(
            judgement,
            record,
            kind="guardrail_bound_unfit",
            severity="warning",
            key="bound-unfit",
            subject=f"{slug}: the control does not meet this bound either",
            summary=f"{pause_reason(unfit)}; but the control misses the bound too. Nothing was paused.",
            shown=unfit,
            next_step=NEXT_STEPS["unfit"],
        )
    if broken and not _knew(judgement, lambda verdict: verdict["is_control"] and verdict["verdict"] in BROKEN):
        yield _draft(
            judgement,
            record,
            kind="guardrail_control_breached",
            severity="warning",
            key="control",
            subject=f"{slug}: the control itself misses the guardrail",
            summary=f"{pause_reason(broken)}. The control is never paused.",
            shown=broken,
            next_step=NEXT_STEPS["control"],
        )


def _hold_drafts(judgement: Judgement, record: GuardrailEvaluation | None) -> Iterator[AlertDraft]:
    for cause in _new_holds(judgement):
        is_latched = cause in LATCHED
        # A passing hold may come again: once a day is often enough to hear of it.
        episode = cause if is_latched else f"{cause}:{judgement.frame.judged_at.date()}"
        yield _draft(
            judgement,
            record,
            kind="guardrail_hold",
            severity="warning",
            key=f"hold:{episode}",
            subject=f"{judgement.frame.experiment.slug}: the data cannot be trusted now",
            summary=f"{HOLD_SENTENCES.get(cause, cause)}. Ordinary pauses wait, an outage does not.".capitalize(),
            shown=judgement.verdicts,
            next_step=NEXT_STEPS["latched" if is_latched else "passing"],
        )


def _knew(judgement: Judgement, is_so: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Say whether a verdict of the previous record shows the condition already."""
    previous = judgement.frame.previous
    return previous is not None and any(is_so(verdict) for verdict in previous.verdicts)


def _new_holds(judgement: Judgement) -> list[str]:
    previous = judgement.frame.previous
    known = _hold_codes(previous.verdicts) if previous else set()
    held = {code for verdict in judgement.verdicts for code in verdict.codes if code in HOLD_SENTENCES}
    return sorted(held - known)


def _hold_codes(verdicts: Iterable[Mapping[str, Any]]) -> set[str]:
    return {code for verdict in verdicts for code in verdict["codes"] if code in HOLD_SENTENCES}


def _draft(
    judgement: Judgement,
    record: GuardrailEvaluation | None,
    *,
    kind: str,
    severity: Literal["critical", "warning", "info"],
    key: str,
    subject: str,
    summary: str,
    shown: Sequence[VariantVerdict],
    next_step: str,
) -> AlertDraft:
    experiment, phase = judgement.frame.experiment, judgement.frame.phase
    return AlertDraft(
        kind=kind,
        severity=severity,
        subject=subject,
        dedupe_key=f"{key}:{experiment.pk}:{phase.number}",
        summary=summary,
        occurred_at=record.evaluated_at if record else judgement.frame.watermark_at,
        facts={
            "lines": [line for verdict in shown for line in _lines(judgement, verdict)],
            "links": _links(experiment, record),
            "next_step": next_step,
            "data": _data(judgement, record),
        },
    )


def _lines(judgement: Judgement, verdict: VariantVerdict) -> Iterator[dict[str, str]]:
    key = verdict.variant_key
    yield {"label": f"{key}: accepted", "value": f"{verdict.accepted:,} of {verdict.sample:,} buyers"}
    yield {"label": f"{key}: rate", "value": rate_text(verdict.rate)}
    for evidence in verdict.evidence:
        if evidence.is_crossed or evidence.is_estimate_outside:
            yield from _evidence_lines(key, evidence)
    control = next((own for own in judgement.verdicts if own.is_control), None)
    if control is not None and control is not verdict:
        value = f"{control.accepted:,} of {control.sample:,} buyers ({rate_text(control.rate)})"
        yield {"label": f"control ({control.variant_key})", "value": value}


def _evidence_lines(key: str, evidence: BoundEvidence) -> Iterator[dict[str, str]]:
    name = BOUND_NAMES[evidence.bound]
    yield {"label": f"{key}: {name}", "value": rate_text(evidence.threshold)}
    if evidence.limit is not None and evidence.bound != "max_drop_vs_control":
        side = "at least" if evidence.bound == "max_acceptance_rate" else "at most"
        yield {"label": f"{key}: true rate is", "value": f"{side} {rate_text(evidence.limit)}"}
    if evidence.log_e is not None:
        value = f"{times(evidence.log_e)}, pause line {times(math.log(evidence.pause_line))}"
        yield {"label": f"{key}: evidence", "value": value}
    if evidence.span is not None and evidence.control is not None:
        over = f"{evidence.control.accepted:,} of {evidence.control.n:,} ({rate_text(evidence.control.rate)})"
        yield {"label": f"control since {evidence.span.opened_at:%Y-%m-%d %H:%M} UTC", "value": over}


def _links(experiment: Experiment, record: GuardrailEvaluation | None) -> list[dict[str, str]]:
    page = f"{settings.API_BASE_URL}/admin/merchandising/bundles/{experiment.slug}"
    links = [{"label": "Open the experiment", "url": page}]
    if record is not None:
        links.append({"label": f"Evaluation {record.sequence}", "url": f"{page}/evaluations/{record.sequence}"})
    return links


def _data(judgement: Judgement, record: GuardrailEvaluation | None) -> dict[str, Any]:
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


def _loudest(verdict: VariantVerdict) -> BoundEvidence | None:
    telling = [own for own in verdict.evidence if own.is_crossed or own.is_outage]
    telling = telling or [own for own in verdict.evidence if own.is_estimate_outside]
    # A drop has no log E; where it is crossed beside a rate, the rate is the plainer story.
    return max(telling, key=lambda own: own.log_e if own.log_e is not None else -math.inf, default=None)
