"""Why an experiment stands where it stands, in full sentences: what, how many, which limit, what shoppers see now."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from catalog_experiments.admin.bounds import LARGEST_LOG
from catalog_experiments.admin.states import (
    BREACHED,
    COLLECTING,
    COMPLETED,
    DRAFT,
    HEALTHY,
    HOLD,
    OUTAGE,
    PAUSED,
    PAUSED_BY_GUARDRAIL,
    PAUSED_BY_RAMP,
    PAUSED_BY_STOCK,
    WATCH,
    State,
)
from catalog_experiments.enforcement.alerts import HOLD_SENTENCES, sentence_of
from catalog_experiments.enforcement.holds import CANARY_RED
from catalog_experiments.guardrails import GuardrailConfig, from_record
from catalog_experiments.models import Experiment
from catalog_experiments.phrasing import rate_text, times_text

Verdicts = Mapping[str, Mapping[str, Any]]

ACCEPTANCE_BOUNDS = ("min_acceptance_rate", "max_acceptance_rate")

_NEXT_STEPS: Mapping[State, str] = {
    DRAFT: "run the launch checklist, then publish the overrides.",
    COLLECTING: "nothing to do. Orders are still being collected.",
    HEALTHY: "nothing to do. Keep running until the planned end.",
    WATCH: "nothing yet. The pause comes by itself if the evidence gets there.",
    HOLD: "find out why the data cannot be trusted, then open a new phase.",
    BREACHED: "look at the offer; the pause follows with the next check.",
    OUTAGE: "look at the offer; the pause follows with the next check.",
    PAUSED_BY_GUARDRAIL: "look at price and copy of the test offer, then complete it or resume with a reason.",
    PAUSED_BY_STOCK: "restock, then resume: the same phase goes on. You are told when the stock is back.",
    PAUSED_BY_RAMP: "find the cause, then resume it, advance the ramp by hand, or complete it.",
    PAUSED: "resume when ready, or complete it.",
    COMPLETED: "read the result; clone it to try again.",
}

_NO_PAUSE_FOLLOWS = (
    "decide yourself, no pause follows: the control is never paused, and shadow mode or a hold keeps others running."
)


_CANARY_STEP = (
    "find out why the A/A canary is red, then acknowledge it with a reason; or wait for 7 clean days of its next phase."
)


def next_step(experiment: Experiment, state: State, verdicts: Verdicts) -> str:
    """Say in one sentence what a merchandiser should do now."""
    if state in (BREACHED, OUTAGE) and not any(entry["should_pause"] for entry in verdicts.values()):
        return _NO_PAUSE_FOLLOWS
    if state is HOLD and _held_by(verdicts) == [CANARY_RED]:
        return _CANARY_STEP
    if state is COMPLETED and not experiment.conclusion:
        return "state the conclusion: it was completed without one."
    if state is COLLECTING and experiment.sample_size_guardrail:
        return f"nothing to do. No verdict before {experiment.sample_size_guardrail:,} orders a variant."
    if state is HEALTHY and experiment.scheduled_end_at is None and experiment.planned_sample_size is None:
        return "nothing to do. No end is planned: it runs until somebody completes it."
    return _NEXT_STEPS[state]


def reason_for(experiment: Experiment, state: State, verdicts: Verdicts) -> str:
    """Say why the experiment needs attention, or '' where a healthy card stays quiet."""
    if state in (PAUSED, PAUSED_BY_RAMP, PAUSED_BY_STOCK):
        said = experiment.pause_reason or "No reason was given."
        return f"Paused {_moment(experiment.paused_at)}: {said} Shoppers see the control."
    if state in (HEALTHY, DRAFT, COLLECTING, COMPLETED):
        return ""
    drop_metric = str(experiment.guardrail_config.get("drop_metric", GuardrailConfig().drop_metric))
    sentences = [_sentence(entry, drop_metric) for entry in verdicts.values() if entry["verdict"] in _TROUBLE]
    told = [sentence for sentence in (_hold_sentence(verdicts), *sentences) if sentence]
    text = " ".join(told) or experiment.pause_reason
    if state is PAUSED_BY_GUARDRAIL:
        text = f"{text} Paused {_moment(experiment.paused_at)}; shoppers see the control."
    return text


def _moment(at: datetime | None) -> str:
    return f"on {at:%-d %B at %H:%M:%S} UTC" if at else "some time ago"


_TROUBLE = ("breached", "outage", "watch")


def _hold_sentence(verdicts: Verdicts) -> str:
    held = _held_by(verdicts)
    return f"The data cannot be trusted: {'; '.join(HOLD_SENTENCES[code] for code in held)}." if held else ""


def _held_by(verdicts: Verdicts) -> list[str]:
    codes = (code for entry in verdicts.values() for code in entry["codes"] if code in HOLD_SENTENCES)
    return list(dict.fromkeys(codes))


def _sentence(verdict: Mapping[str, Any], drop_metric: str) -> str:
    # Bounds other than acceptance (a drop, a collapse) are told as their alert tells them.
    [known] = from_record([verdict])
    return _evidence_sentence(verdict) or f"{known.variant_key}: {sentence_of(known, drop_metric)}."


def _evidence_sentence(verdict: Mapping[str, Any]) -> str:
    judged = (bound for bound in verdict["evidence"] if bound["bound"] in ACCEPTANCE_BOUNDS)
    bounds = [bound for bound in judged if _is_outside(bound, verdict)]
    if not bounds:
        return ""
    bound = max(bounds, key=lambda entry: entry["log_e"])
    side = "above" if bound["bound"] == "max_acceptance_rate" else "below"
    times = times_text(math.exp(min(bound["log_e"], LARGEST_LOG)))
    evidence = "No evidence yet" if times == "none" else f"Evidence {times}"
    head = f"Acceptance of {verdict['variant_key']} is {side} the limit of {100 * bound['threshold']:g} %"
    counts = f"{verdict['accepted']:,} of {verdict['sample']:,} orders took the bundle ({rate_text(verdict['rate'])})"
    chance = ", but this may still be chance" if verdict["verdict"] == "watch" else ""
    return f"{head}{chance}: {counts}. {evidence}, pauses at {times_text(bound['pause_line'])}."


def _is_outside(bound: Mapping[str, Any], verdict: Mapping[str, Any]) -> bool:
    rate = verdict.get("rate")
    if rate is None:
        return False
    if bound["bound"] == "max_acceptance_rate":
        return bool(rate > bound["threshold"])
    return bool(rate < bound["threshold"])
