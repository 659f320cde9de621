"""How far each bound is from a pause: its exact limit, the evidence on its way to the pause line, and the budget."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from catalog_experiments.admin.charts import Meter, evidence_meter
from catalog_experiments.guardrails import config as guardrail_config
from catalog_experiments.models import Experiment
from catalog_experiments.phrasing import rate_text, times_text

Verdicts = Mapping[str, Mapping[str, Any]]

LARGEST_LOG = 50.0
_DROP, _SHARE = "max_drop_vs_control", "exposure_share"
_LABELS = {
    "min_acceptance_rate": "acceptance at least {}",
    "max_acceptance_rate": "acceptance at most {}",
    _DROP: "drop against control at most {}",
    _SHARE: "share of visitors at least {}",
}
CLAIM = "Exact for unrevised data, measured at most 5 % under revision."


@dataclass(frozen=True, slots=True)
class BoundRow:
    """One bound of one variant in words; `within` is its exact limit, `meter` None where no evidence factor exists."""

    variant: str
    label: str
    estimate: str
    within: str
    evidence: str
    pauses_at: str
    words: str
    meter: Meter | None


@dataclass(frozen=True, slots=True)
class Budget:
    """The chance of a false pause that a phase may spend, and how it is shared out: in a line, and in sentences."""

    line: str
    promise: str
    shares: str


def bound_rows(verdicts: Verdicts) -> tuple[BoundRow, ...]:
    """Return every bound of every variant, control first, in the order they are judged."""
    return tuple(_row(verdict, bound) for verdict in verdicts.values() for bound in verdict["evidence"])


def within_text(bound: Mapping[str, Any]) -> str:
    """Say between what limit the truth surely lies, however often it is looked at; '' where nothing is known yet."""
    limit = bound["limit"]
    if limit is None:
        return ""
    if bound["bound"] == _DROP:
        return f"the contrast with control is at most {100 * limit:+.2f} points"
    side, says_nothing = (
        ("at least", limit <= 0) if bound["bound"] == "max_acceptance_rate" else ("at most", limit >= 1)
    )
    return "" if says_nothing else f"the true rate is {side} {rate_text(limit)}"


def budget_of(experiment: Experiment, verdicts: Verdicts) -> Budget | None:
    """Return the budget of the current phase; None for a draft, or where no bound is enforced."""
    phase = experiment.current_phase
    bounds = [name for name in guardrail_config.BOUNDS if phase is not None and phase.bounds.get(name) is not None]
    if phase is None or not bounds:
        return None
    if phase.bounds.get("pause_rule") == "persistent":
        reason = phase.bounds.get("pause_rule_reason") or "none was given"
        promise = "Misses in a row pause: this rule stands outside every stated error."
        return Budget(f"Phase {phase.number}, without a stated error", promise, f"Reason: {reason}.")
    tests = max(1, sum(not variant["is_control"] for variant in phase.variants))
    share = phase.alpha / (tests * len(bounds))
    over_all = min(1.0, phase.number * phase.alpha)
    promise = (
        f"Phase {phase.number}: a healthy experiment is paused with a chance of at most {_percent(phase.alpha)}; "
        f"over all phases so far at most {_percent(over_all)}. {CLAIM}"
    )
    line = f"Phase {phase.number}: false pauses at most {_percent(phase.alpha)}, over all phases {_percent(over_all)}"
    return Budget(line, promise, " ".join(_shares(tests, len(bounds), share, verdicts)))


def _shares(tests: int, bounds: int, share: float, verdicts: Verdicts) -> Iterator[str]:
    parts = f"{tests} test variant{'s' * (tests > 1)} times {bounds} bound{'s' * (bounds > 1)}"
    yield f"Budget: {_percent(share)} each for {parts}, fixed when the phase opened."
    used = [bound["log_e"] for verdict in verdicts.values() for bound in _spending(verdict)]
    if used:
        nearest = math.exp(min(max(used), LARGEST_LOG))
        yield f"The strongest evidence stands at {times_text(nearest)}, a pause needs {times_text(1 / share)}."


def _spending(verdict: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not verdict["is_control"]:
        yield from (own for own in verdict["evidence"] if own["log_e"] is not None and own["bound"] != _SHARE)


def _row(verdict: Mapping[str, Any], bound: Mapping[str, Any]) -> BoundRow:
    is_drop, log_e = bound["bound"] == _DROP, bound["log_e"]
    return BoundRow(
        variant=verdict["variant_key"],
        label=_LABELS[bound["bound"]].format(_percent(bound["threshold"])),
        estimate=_points(bound["estimate"]) if is_drop else rate_text(bound["estimate"]),
        within=within_text(bound) or "not known yet",
        evidence="–" if log_e is None else times_text(math.exp(min(log_e, LARGEST_LOG))),
        pauses_at="below 0 points" if is_drop else times_text(bound["pause_line"]),
        words=_words(verdict, bound),
        meter=None if log_e is None else evidence_meter(log_e, bound["pause_line"]),
    )


def _words(verdict: Mapping[str, Any], bound: Mapping[str, Any]) -> str:
    if bound["is_crossed"] or bound["is_outage"]:
        if verdict["is_control"]:
            return "crossed; the control is never paused"
        return "crossed" if verdict["would_pause"] else "crossed, held back"
    if bound["limit"] is None:
        return "too few visitors yet"
    if bound["log_e"] is not None and bound["log_e"] > 0:
        way = bound["log_e"] / math.log(bound["pause_line"])
        return f"{way:.0%} of the way to a pause"
    return "no evidence against it"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.2f} points"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4g} %"
