"""What people are told of an evaluation: drafts of alerts, with the numbers of the verdict and the next step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from catalog_experiments.enforcement.alert_facts import lines_of, links_to, raw_data
from catalog_experiments.enforcement.holds import CANARY_RED, LATCHED, READING_STALE
from catalog_experiments.enforcement.judgement import Judgement
from catalog_experiments.enforcement.quality_alerts import detail_of
from catalog_experiments.guardrails import BoundEvidence, VariantVerdict, Verdict
from catalog_experiments.guardrails.verdicts import BOUND_UNFIT
from catalog_experiments.models import GuardrailEvaluation
from catalog_experiments.phrasing import rate_text
from notifications.outbox import AlertDraft

BROKEN = (Verdict.BREACHED, Verdict.OUTAGE)
HOLD_SENTENCES = {
    "sample_ratio_mismatch": "the variants do not hold their planned shares of visitors",
    "mixed_units": "more than 1 % of visitors were seen with two variants",
    "client_faults": "more than 1 % of exposures claim another variant than the one assigned",
    "telemetry_silent": "exposures have stopped coming in, for longer than this hour of the week explains",
    "aggregation_stale": "the aggregated numbers are older than allowed",
    "join_rate_halved": "fewer than half as many orders as should find the visitor who placed them",
    "reading_stale": "the newest facts cannot be read: something has been writing for more than a minute",
    "canary_red": "the A/A canary is red: the measuring itself may be wrong",
    "heavy_revision": "more than 5 % of the counted orders were revised since the last evaluation",
}
UNTOLD = frozenset({READING_STALE, CANARY_RED})
"""Holds of which each card tells but no alert: one lasts as long as a long write, the other has an alert for all."""

DROP_NAMES = {"conversion": "conversion", "take_rate": "the take rate", "revenue": "revenue per visitor"}

NEXT_STEPS = {
    "pause": "Look at the evidence. If the variant is at fault, complete the experiment; if not, resume with a reason: "
    "that opens a new phase which counts from zero.",
    "would_pause": "The guardrail is in shadow mode and paused nothing. Pause by hand, or switch the mode to enforce.",
    "control": "No variant is paused for this. Look at the shop: stock, prices, the page itself.",
    "unfit": "No variant is paused for this. Choose a bound that the control itself meets.",
    "latched": "Find the cause, then open a new phase: numbers of this one cannot be trusted any more.",
    "passing": "Nothing to decide: the hold ends by itself when the data is back.",
    "over": "Nothing to do.",
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


def pause_reason(judgement: Judgement, stopped: Sequence[VariantVerdict]) -> str:
    """Say in one line per variant why it was stopped, with its numbers."""
    metric = judgement.config.drop_metric
    return "; ".join(f"{verdict.variant_key}: {sentence_of(verdict, metric)}" for verdict in stopped)


def sentence_of(verdict: VariantVerdict, drop_metric: str) -> str:
    """Say what a variant did against the bound that speaks loudest; `drop_metric` as the guardrails name it."""
    evidence = _loudest(verdict)
    if evidence is None:
        return f"{verdict.verdict} ({', '.join(verdict.codes)})"
    if evidence.bound == "exposure_share":
        share, planned = rate_text(evidence.estimate), rate_text(2 * evidence.threshold)
        return f"reaches {share} of visitors where {planned} were planned: it seems to fail before it is shown"
    if evidence.bound == "max_drop_vs_control":
        return f"{DROP_NAMES[drop_metric]} is down by more than {rate_text(evidence.threshold)} against control"
    side = "above" if evidence.bound == "max_acceptance_rate" else "below"
    return (
        f"{verdict.accepted:,} of {verdict.sample:,} orders took the bundle ({rate_text(verdict.rate)}), "
        f"{side} the limit of {rate_text(evidence.threshold)}"
    )


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
        subject=f"{slug} was paused: {names} {'missed its guardrail by far' if is_outage else 'broke its guardrail'}",
        summary=f"{pause_reason(judgement, stopped)}. The storefront serves control again.",
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
        summary=f"{pause_reason(judgement, stopped)}. Nothing was changed.",
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
            summary=f"{pause_reason(judgement, unfit)}; but the control misses the bound too. Nothing was paused.",
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
            summary=f"{pause_reason(judgement, broken)}. The control is never paused.",
            shown=broken,
            next_step=NEXT_STEPS["control"],
        )


def _hold_drafts(judgement: Judgement, record: GuardrailEvaluation | None) -> Iterator[AlertDraft]:
    slug, held, known = judgement.frame.experiment.slug, _held(judgement), _known_holds(judgement)
    for cause in sorted(held - known):
        yield _draft(
            judgement,
            record,
            kind="guardrail_hold",
            severity="warning",
            key=_hold_key(cause, judgement),
            subject=f"{slug}: the data cannot be trusted now",
            summary=f"Found: {HOLD_SENTENCES[cause]}{detail_of(cause, judgement.frame.quality)}. "
            "Ordinary pauses wait, an outage does not.",
            shown=judgement.verdicts,
            next_step=NEXT_STEPS["latched" if cause in LATCHED else "passing"],
        )
    if any(verdict.verdict == Verdict.OUTAGE for verdict in judgement.verdicts):
        return  # an outage outranks holds and hides them, which does not end them
    for cause in sorted(known - held):
        yield _draft(
            judgement,
            record,
            kind="guardrail_hold_over",
            severity="info",
            key=f"over:{_hold_key(cause, judgement)}",
            subject=f"{slug}: the data can be trusted again",
            summary=f"It is over that {HOLD_SENTENCES[cause]}. Guardrails act as usual.",
            shown=judgement.verdicts,
            next_step=NEXT_STEPS["over"],
        )


def _hold_key(cause: str, judgement: Judgement) -> str:
    # A passing hold may come again: once a day is often enough to hear of it.
    return f"hold:{cause}" if cause in LATCHED else f"hold:{cause}:{judgement.frame.judged_at.date()}"


def _held(judgement: Judgement) -> set[str]:
    return _told(code for verdict in judgement.verdicts for code in verdict.codes)


def _known_holds(judgement: Judgement) -> set[str]:
    previous = judgement.frame.previous
    recorded = previous.verdicts if previous else []
    return _told(code for verdict in recorded for code in verdict["codes"])


def _told(codes: Iterable[str]) -> set[str]:
    return {code for code in codes if code in HOLD_SENTENCES and code not in UNTOLD}


def _knew(judgement: Judgement, is_so: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Say whether a verdict of the previous record shows the condition already."""
    previous = judgement.frame.previous
    return previous is not None and any(is_so(verdict) for verdict in previous.verdicts)


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
            "lines": [line for verdict in shown for line in lines_of(judgement, verdict)],
            "links": links_to(experiment, record),
            "next_step": next_step,
            "note": f"evaluation record {record.sequence}" if record else "",
            "data": raw_data(judgement, record),
        },
    )


def _loudest(verdict: VariantVerdict) -> BoundEvidence | None:
    telling = [own for own in verdict.evidence if own.is_crossed or own.is_outage]
    telling = telling or [own for own in verdict.evidence if own.is_estimate_outside]
    # A drop has no log E; where it is crossed beside a rate, the rate is the plainer story.
    return max(telling, key=lambda own: own.log_e if own.log_e is not None else -math.inf, default=None)
