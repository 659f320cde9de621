"""How far each bound is from a pause: its exact limit, the evidence on its way to the pause line, and the budget."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from catalog_experiments.admin.charts import Meter, evidence_meter
from catalog_experiments.guardrails import config as guardrail_config
from catalog_experiments.models import Experiment, Phase
from catalog_experiments.phrasing import contrast_text, rate_text, times_text

Verdicts = Mapping[str, Mapping[str, Any]]

LARGEST_LOG = 50.0
_DROP, _SHARE = "max_drop_vs_control", "exposure_share"
_LABELS = {
    "min_acceptance_rate": "acceptance at least {}",
    "max_acceptance_rate": "acceptance at most {}",
    _DROP: "drop against control at most {}",
    _SHARE: "share of visitors at least {}",
}
_UNKNOWN = "not known yet"
CLAIM = "Exact for unrevised data, measured at most 5 % under revision."


@dataclass(frozen=True, slots=True)
class BoundRow:
    """One bound of one variant in words; `meter` is None where no evidence factor exists.

    `within` is its exact limit as a sentence, `surely` in a few words; `nearness` is 0 without evidence, 1 at the pause
    line, and below 0 where nothing is known yet.
    """

    variant: str
    is_control: bool
    label: str
    estimate: str
    within: str
    surely: str
    evidence: str
    pauses_at: str
    words: str
    nearness: float
    meter: Meter | None


@dataclass(frozen=True, slots=True)
class Budget:
    """The chance of a false pause that a phase may spend, and how it is shared out: in a line, and in sentences."""

    line: str
    promise: str
    shares: str


@dataclass(frozen=True, slots=True)
class Spending:
    """The chance of a false pause that one phase may spend: 0 without a bound, None where no error was stated."""

    number: int
    alpha: float | None


def bound_rows(verdicts: Verdicts, drop_currency: str = "") -> tuple[BoundRow, ...]:
    """Return every bound of every variant, control first, in the order they are judged."""
    return tuple(_row(verdict, bound, drop_currency) for verdict in verdicts.values() for bound in verdict["evidence"])


def nearest_to_pause(rows: Iterable[BoundRow]) -> BoundRow | None:
    """Return the bound of a test variant that is nearest to a pause, the first judged among equals; None for none."""
    return max((row for row in rows if not row.is_control), key=lambda row: row.nearness, default=None)


def drop_currency_of(phase: Phase | None) -> str:
    """Return the currency in which a phase's drop is judged; '' where that is a rate, or without a phase."""
    return phase.currency if phase is not None and phase.bounds.get("drop_metric") == "revenue" else ""


def within_text(bound: Mapping[str, Any], drop_currency: str = "") -> str:
    """Say between what limit the truth surely lies, however often it is looked at; '' where nothing is known yet."""
    surely = _surely(bound, drop_currency)
    subject = "the contrast with control" if bound["bound"] == _DROP else "the true rate"
    return f"{subject} is {surely}" if surely else ""


def _surely(bound: Mapping[str, Any], drop_currency: str = "") -> str:
    limit = bound["limit"]
    if limit is None:
        return ""
    if bound["bound"] == _DROP:
        return f"at most {contrast_text(limit, drop_currency)}"
    if bound["bound"] == "max_acceptance_rate":
        return "" if limit <= 0 else f"at least {rate_text(limit)}"
    return "" if limit >= 1 else f"at most {rate_text(limit)}"


def earlier_spendings(experiments: Iterable[Experiment]) -> dict[UUID, list[Spending]]:
    """Return what the phases before the current ones might spend, by experiment id; at most one query.

    Alpha and the rule are fixed by the phase, so each of them may have been another.
    """
    current = {own.pk: own.current_phase.number for own in experiments if own.current_phase}
    wanted = [key for key, number in current.items() if number > 1]
    spendings = defaultdict[UUID, list[Spending]](list)
    for phase in Phase.objects.filter(experiment__in=wanted).order_by("number") if wanted else ():
        if phase.number < current[phase.experiment_id]:
            spendings[phase.experiment_id].append(_spending_of(phase))
    return spendings


def _spending_of(phase: Phase) -> Spending:
    is_stated = phase.bounds.get("pause_rule") != "persistent"
    return Spending(phase.number, (phase.alpha if is_stated else None) if _bounds_of(phase) else 0.0)


def _bounds_of(phase: Phase) -> list[str]:
    return [name for name in guardrail_config.BOUNDS if phase.bounds.get(name) is not None]


def budget_of(experiment: Experiment, verdicts: Verdicts, earlier: Sequence[Spending] = ()) -> Budget | None:
    """Return the budget of the current phase; None for a draft, or where no bound is enforced.

    `earlier` is what the phases before it might spend (`earlier_spendings`): over all phases the chances add up.
    """
    phase = experiment.current_phase
    bounds = _bounds_of(phase) if phase is not None else []
    if phase is None or not bounds:
        return None
    if phase.bounds.get("pause_rule") == "persistent":
        reason = phase.bounds.get("pause_rule_reason") or "none was given"
        promise = "Misses in a row pause: this rule stands outside every stated error."
        return Budget(f"Phase {phase.number}, without a stated error", promise, f"Reason: {reason}.")
    tests = max(1, sum(not variant["is_control"] for variant in phase.variants))
    share = phase.alpha / (tests * len(bounds))
    over_all = [*earlier, _spending_of(phase)]
    promise = (
        f"Phase {phase.number}: a healthy experiment is paused with a chance of at most {_percent(phase.alpha)}; "
        f"over all phases so far {_promised_over(over_all)}. {CLAIM}"
    )
    line = f"Phase {phase.number}: false pauses at most {_percent(phase.alpha)}, over all phases {_total(over_all)}"
    return Budget(line, promise, " ".join(_shares(tests, len(bounds), share, verdicts)))


def _promised_over(spendings: Sequence[Spending]) -> str:
    unstated = [str(own.number) for own in spendings if own.alpha is None]
    if unstated:
        return f"no chance is stated, for misses in a row paused in phase {' and '.join(unstated)}"
    return f"at most {_total(spendings)}"


def _total(spendings: Sequence[Spending]) -> str:
    known = [own.alpha for own in spendings if own.alpha is not None]
    return _percent(min(1.0, math.fsum(known))) if len(known) == len(spendings) else "without a stated error"


def _shares(tests: int, bounds: int, share: float, verdicts: Verdicts) -> Iterator[str]:
    parts = f"each for {tests} test variant{'s' * (tests > 1)} times {bounds} bound{'s' * (bounds > 1)}"
    whole = "for the one bound of the one test variant"
    yield f"Budget: {_percent(share)} {whole if tests * bounds == 1 else parts}, fixed when the phase opened."
    used = [bound["log_e"] for verdict in verdicts.values() for bound in _spending(verdict)]
    if used and max(used) <= 0:
        yield f"So far there is no evidence against any of them; a pause needs {times_text(1 / share)}."
    elif used:
        nearest = math.exp(min(max(used), LARGEST_LOG))
        yield f"The strongest evidence stands at {times_text(nearest)}, a pause needs {times_text(1 / share)}."


def _spending(verdict: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not verdict["is_control"]:
        yield from (own for own in verdict["evidence"] if own["log_e"] is not None and own["bound"] != _SHARE)


def _row(verdict: Mapping[str, Any], bound: Mapping[str, Any], drop_currency: str) -> BoundRow:
    is_drop, log_e = bound["bound"] == _DROP, bound["log_e"]
    return BoundRow(
        variant=verdict["variant_key"],
        is_control=verdict["is_control"],
        label=_LABELS[bound["bound"]].format(_percent(bound["threshold"])),
        estimate=contrast_text(bound["estimate"], drop_currency) if is_drop else rate_text(bound["estimate"]),
        within=within_text(bound, drop_currency) or _UNKNOWN,
        surely=_surely(bound, drop_currency) or _UNKNOWN,
        evidence="–" if log_e is None else times_text(math.exp(min(log_e, LARGEST_LOG))),
        pauses_at=f"below 0 {drop_currency or 'points'}" if is_drop else times_text(bound["pause_line"]),
        words=_words(verdict, bound),
        nearness=_nearness(bound),
        meter=None if log_e is None else evidence_meter(log_e, bound["pause_line"]),
    )


def _nearness(bound: Mapping[str, Any]) -> float:
    if bound["is_crossed"] or bound["is_outage"]:
        return math.inf
    if bound["log_e"] is not None:
        return max(0.0, float(bound["log_e"] / math.log(bound["pause_line"])))
    return -1.0 if bound["limit"] is None else 0.0


def _words(verdict: Mapping[str, Any], bound: Mapping[str, Any]) -> str:
    if bound["is_crossed"] or bound["is_outage"]:
        if verdict["is_control"]:
            return "crossed; the control is never paused"
        return "crossed" if verdict["would_pause"] else "crossed, held back"
    if bound["limit"] is None:
        return "too few visitors yet"
    if bound["log_e"] is not None and bound["log_e"] > 0:
        way = bound["log_e"] / math.log(bound["pause_line"])
        return f"{100 * way:.0f} % of the way to a pause"
    return "no evidence against it"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4g} %"
