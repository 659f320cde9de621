"""What a backtest came to, in sentences that page, command and API share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from catalog_experiments.backtest.false_alarms import FalseAlarms, Suggestion
from catalog_experiments.backtest.fit import FEWEST_ORDERS, ControlFit
from catalog_experiments.backtest.history import Ending, History
from catalog_experiments.backtest.runs import Backtest, Replay
from catalog_experiments.guardrails import BoundEvidence, VariantVerdict
from catalog_experiments.guardrails.evidence import EXPOSURE_SHARE
from catalog_experiments.phrasing import lift_text, rate_text, times_text

BOUND_NAMES = {
    "min_acceptance_rate": "least acceptance",
    "max_acceptance_rate": "most acceptance",
    "max_drop_vs_control": "largest drop against control",
}

_ENDINGS: dict[Ending, str] = {
    "guardrail": "a guardrail really paused it",
    "paused": "it was really paused",
    "closed": "its real end",
    "open": "now",
    "orders": "the last of these orders",
}
_LONGEST_EXPONENT = 600.0


@dataclass(frozen=True, slots=True)
class PauseLine:
    """One variant that would have been paused, in words; `lead` says how much earlier than in fact."""

    where: str
    variant: str
    at: str
    verdict: str
    counts: str
    rate: str
    bound: str
    evidence: str
    lead: str


def pause_lines(backtest: Backtest) -> Iterator[PauseLine]:
    """Yield a line for every variant that would have paused a phase, oldest phase first."""
    for replay in backtest.replays:
        for verdict in replay.pause.verdicts if replay.pause else ():
            yield _pause_line(replay, verdict)


def where_text(history: History) -> str:
    """Name a phase, or the orders that stand for one."""
    if history.phase_number is None:
        return f"{history.name}, no experiment"
    return f"{history.slug}, phase {history.phase_number}"


def ran_on(replay: Replay) -> str:
    """Say that a phase would have run on, and what really became of it."""
    history = replay.history
    if not history.orders:
        return f"{where_text(history)}: no orders to look at."
    fate = " A guardrail really paused it." if history.ending == "guardrail" else ""
    return f"{where_text(history)}: would have run on, {history.orders:,} orders.{fate}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One sentence of the result.

    Its kind is one of `proposal`, `replays`, `stuck`, `alarms`, `suggestion`, `missing` and `note`.
    """

    kind: str
    sentence: str


def outcomes(backtest: Backtest) -> Iterator[Outcome]:
    """Say what was tried and what came of it, the most important first."""
    yield Outcome("proposal", proposal_text(backtest))
    yield Outcome("replays", replays_text(backtest))
    for fit in backtest.fits:
        if fit.is_stuck:
            yield Outcome("stuck", stuck_text(fit))
    if backtest.false_alarms is not None:
        yield Outcome("alarms", alarms_text(backtest, backtest.false_alarms))
    for suggestion in backtest.suggestions:
        yield Outcome("suggestion", suggestion_text(suggestion))
    if backtest.missing:
        yield Outcome("missing", missing_text(backtest))
    for note in backtest.notes:
        yield Outcome("note", note)


def sentences(backtest: Backtest) -> list[str]:
    """Return the same as bare sentences."""
    return [outcome.sentence for outcome in outcomes(backtest)]


def proposal_text(backtest: Backtest) -> str:
    """Say what was proposed."""
    config = backtest.proposal.config
    bounds = ", ".join(f"{BOUND_NAMES[name]} {percent_text(getattr(config, name))}" for name in config.bounds)
    rule = (
        f"pause after {config.consecutive} batches outside"
        if config.pause_rule == "persistent"
        else "pause on evidence"
    )
    return (
        f"Tried out on {backtest.slug}: {bounds or 'no bound'}; {rule}, alpha {config.alpha:g}, "
        f"no verdict before {backtest.proposal.minimum_sample:,} orders a variant."
    )


def replays_text(backtest: Backtest) -> str:
    """Say how many of the past phases would have been paused."""
    count = len(backtest.replays)
    if not count:
        return f"No phase of the last {backtest.options.lookback_days} days could be replayed."
    paused = sum(replay.pause is not None for replay in backtest.replays)
    really = sum(replay.history.ending == "guardrail" for replay in backtest.replays)
    phases = "phase" if count == 1 else "phases"
    return f"Of {count} past {phases} it would have paused {paused}; guardrails really paused {really}."


def stuck_text(fit: ControlFit) -> str:
    """Warn that the control itself misses a bound, and name the remedy."""
    name, threshold = BOUND_NAMES[fit.limit.bound], percent_text(fit.limit.threshold)
    crossed = (
        f" The evidence against it passed the pause line on {moment_text(fit.crossed_at)}." if fit.crossed_at else ""
    )
    return (
        f"Guardrail stuck: the control itself misses the {name} of {threshold}. Its own acceptance is "
        f"{rate_text(fit.rate)}.{_outside_text(fit)}{crossed} Set it to {percent_text(fit.fitting_threshold)} "
        f"{_milder(fit.limit.bound)}, or bound the drop against control instead."
    )


def alarms_text(backtest: Backtest, alarms: FalseAlarms) -> str:
    """Say how often nothing but chance and the weekly rhythm would pause."""
    lower, upper = alarms.interval
    source = backtest.baseline.source if backtest.baseline else "the past"
    pieces = "whole weeks" if alarms.method == "weeks" else "days of the same weekday"
    return (
        f"False pauses: {alarms.paused} of {alarms.resamples} healthy phases of {alarms.phase_days} days, "
        f"{rate_text(alarms.rate)} (95 %: {rate_text(lower)} to {rate_text(upper)}). "
        f"They are made of {pieces}: {source}."
    )


def suggestion_text(suggestion: Suggestion) -> str:
    """Name the strictest threshold with the wanted share of false pauses."""
    name, wanted = BOUND_NAMES[suggestion.bound], percent_text(suggestion.wanted_rate)
    if suggestion.threshold is None:
        return f"No {name} on the ladder keeps false pauses at {wanted}; bound the drop against control instead."
    return (
        f"For at most {wanted} false pauses set the {name} to {percent_text(suggestion.threshold)} "
        f"{_milder(suggestion.bound)}; there it was {rate_text(suggestion.rate)}."
    )


def missing_text(backtest: Backtest) -> str:
    """Say that the past is too short, and what is missing."""
    return f"Too little history for false pauses and suggestions. {backtest.missing}"


def evidence_of(verdict: VariantVerdict) -> BoundEvidence | None:
    """Return the evidence that stopped a variant: an outage before a crossing; None when there is none."""
    stopping = [own for own in verdict.evidence if own.bound != EXPOSURE_SHARE and (own.is_outage or own.is_crossed)]
    return max(stopping, key=lambda own: own.is_outage, default=None)


def _pause_line(replay: Replay, verdict: VariantVerdict) -> PauseLine:
    evidence = evidence_of(verdict)
    bundle = replay.history.bundles.get(verdict.variant_key)
    return PauseLine(
        where=where_text(replay.history),
        variant=f"{verdict.variant_key} ({bundle})" if bundle else verdict.variant_key,
        at=moment_text(replay.pause.at) if replay.pause else "",
        verdict=verdict.verdict.value,
        counts=f"{verdict.accepted:,} of {verdict.sample:,}",
        rate=rate_text(verdict.rate),
        bound=f"{BOUND_NAMES[evidence.bound]} {percent_text(evidence.threshold)}" if evidence else "",
        evidence=_evidence_text(evidence),
        lead=_lead_text(replay, verdict),
    )


def _evidence_text(evidence: BoundEvidence | None) -> str:
    if evidence is None:
        return ""
    if evidence.log_e is None:
        return f"drop beyond {lift_text(-evidence.threshold)}"
    if evidence.batches:
        return f"{len(evidence.batches)} batches outside"
    factor = math.exp(min(evidence.log_e, _LONGEST_EXPONENT))
    return f"{times_text(factor)}, pauses at {times_text(evidence.pause_line)}"


def _lead_text(replay: Replay, verdict: VariantVerdict) -> str:
    hours, ending = replay.hours_earlier or 0.0, _ENDINGS[replay.history.ending]
    if hours < 1:
        return f"within the hour in which {ending}" if replay.history.ending != "open" else "within this hour"
    orders = replay.orders_earlier(verdict.variant_key)
    return f"{hours:,.0f} h and {orders:,} orders of the variant before {ending}"


def percent_text(rate: float) -> str:
    """Write a threshold (fraction) as per cent, as short as it is.

    >>> percent_text(0.1), percent_text(0.0935)
    ('10 %', '9.35 %')
    """
    return f"{round(100 * rate, 4):g} %"


def moment_text(moment: datetime) -> str:
    """Write a moment that is in UTC."""
    return f"{moment:%-d %b %Y %H:%M} UTC"


def _milder(bound: str) -> str:
    return "or more" if bound == "max_acceptance_rate" else "or less"


def _outside_text(fit: ControlFit) -> str:
    counted = ((fit.outside_days, fit.days, "days"), (fit.outside_hours, fit.hours, "hours"))
    shares = " and ".join(f"{outside} of {total} {unit}" for outside, total, unit in counted if total)
    return f" Where there were {FEWEST_ORDERS} orders or more, {shares} were outside." if shares else ""
