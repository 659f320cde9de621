"""A backtest as plain values, ready for JSON: one shape for the API's answer and the command's file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from catalog_experiments.backtest.false_alarms import FalseAlarms, Suggestion
from catalog_experiments.backtest.fit import ControlFit
from catalog_experiments.backtest.past import Baseline
from catalog_experiments.backtest.runs import Backtest, Replay
from catalog_experiments.backtest.wording import evidence_of, sentences
from catalog_experiments.guardrails import VariantVerdict, dump_config


def summary(backtest: Backtest) -> dict[str, Any]:
    """Return everything a backtest says; times are aware and in UTC, rates fractions."""
    return {
        "slug": backtest.slug,
        "name": backtest.name,
        "guardrail_config": dump_config(backtest.proposal.config),
        "sample_size_guardrail": backtest.proposal.minimum_sample,
        "lookback_days": backtest.options.lookback_days,
        "sentences": sentences(backtest),
        "replays": [_replay(replay) for replay in backtest.replays],
        "baseline": _baseline(backtest.baseline) if backtest.baseline else None,
        "is_stuck": backtest.is_stuck,
        "control_fit": [_fit(fit) for fit in backtest.fits],
        "false_alarms": _alarms(backtest, backtest.false_alarms) if backtest.false_alarms else None,
        "suggestions": [_suggestion(suggestion) for suggestion in backtest.suggestions],
        "missing": backtest.missing,
        "notes": list(backtest.notes),
    }


def _replay(replay: Replay) -> dict[str, Any]:
    history = replay.history
    return {
        "slug": history.slug,
        "name": history.name,
        "phase_number": history.phase_number,
        "opened_at": history.course.opened_at,
        "stopped_at": history.stopped_at,
        "ending": history.ending,
        "orders": history.orders,
        "would_pause": list(_pauses(replay)),
    }


def _pauses(replay: Replay) -> Iterator[dict[str, Any]]:
    if replay.pause is None:
        return
    for verdict in replay.pause.verdicts:
        yield {
            "variant_key": verdict.variant_key,
            "bundle_slug": replay.history.bundles.get(verdict.variant_key),
            "at": replay.pause.at,
            "verdict": verdict.verdict.value,
            "codes": list(verdict.codes),
            "sample_size": verdict.sample,
            "acceptance_count": verdict.accepted,
            "acceptance_rate": verdict.rate,
            "hours_earlier": replay.hours_earlier,
            "orders_earlier": replay.orders_earlier(verdict.variant_key),
            **_evidence(verdict),
        }


def _evidence(verdict: VariantVerdict) -> dict[str, Any]:
    evidence = evidence_of(verdict)
    names = ("bound", "threshold", "limit", "log_e", "pause_line")
    return {name: getattr(evidence, name, None) for name in names}


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {
        "source": baseline.source,
        "days": round(baseline.days, 2),
        "orders": baseline.counts[0],
        "acceptance_rate": baseline.rate,
    }


def _fit(fit: ControlFit) -> dict[str, Any]:
    return {
        "bound": fit.limit.bound,
        "threshold": fit.limit.threshold,
        "acceptance_rate": fit.rate,
        "outside_days": fit.outside_days,
        "days": fit.days,
        "outside_hours": fit.outside_hours,
        "hours": fit.hours,
        "crossed_at": fit.crossed_at,
        "fitting_threshold": fit.fitting_threshold,
        "is_stuck": fit.is_stuck,
    }


def _alarms(backtest: Backtest, alarms: FalseAlarms) -> dict[str, Any]:
    return {
        "method": alarms.method,
        "resamples": alarms.resamples,
        "phase_days": alarms.phase_days,
        "seed": backtest.options.seed,
        "paused": alarms.paused,
        "rate": alarms.rate,
        "interval": list(alarms.interval),
    }


def _suggestion(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "bound": suggestion.bound,
        "wanted_rate": suggestion.wanted_rate,
        "threshold": suggestion.threshold,
        "rate": suggestion.rate,
        "ladder": [{"threshold": step.threshold, "rate": step.rate} for step in suggestion.ladder],
    }
