"""One experiment as a card: state, reason in words, variant rows, evidence meter, sparkline and the next step."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog_experiments.admin.bounds import (
    BoundRow,
    Budget,
    Spending,
    bound_rows,
    budget_of,
    drop_currency_of,
    nearest_to_pause,
)
from catalog_experiments.admin.charts import Forest, Sparkline, forest, sparkline
from catalog_experiments.admin.confirmations import Sighting
from catalog_experiments.admin.reasons import next_step, reason_for
from catalog_experiments.admin.states import State, state_of, verdict_state
from catalog_experiments.admin.timing import timing_sentences
from catalog_experiments.admin.trust import all_units, left_out_text
from catalog_experiments.analysis import Report, VariantReport
from catalog_experiments.enforcement import verdicts_now
from catalog_experiments.guardrails import GuardrailConfigError, from_record, gravest, to_record
from catalog_experiments.models import Experiment, GuardrailEvaluation
from catalog_experiments.phrasing import range_text
from catalog_experiments.ramping import Samples

Verdicts = Mapping[str, Mapping[str, Any]]
DailyAcceptance = Mapping[str, Sequence[tuple[dt.date, int, int]]]


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One line of a card's table; rates and lifts are fractions, `lift_note` says what stands in for an interval."""

    key: str
    name: str
    offer: str
    is_control: bool
    exposed: int
    sample: int
    conversions: int
    rate: float | None
    lift: float | None
    lift_note: str
    forest: Forest | None
    state: State | None
    is_flagged: bool


@dataclass(frozen=True, slots=True)
class Card:
    """Everything the control center shows of one experiment, worst first by `state.rank`."""

    experiment: Experiment
    state: State
    reason: str
    rows: tuple[VariantRow, ...]
    sparkline: Sparkline | None
    limit: float | None
    next_step: str
    age: str
    phase_number: int | None
    computed_at: dt.datetime | None
    evaluation: GuardrailEvaluation | None
    bounds: tuple[BoundRow, ...] = ()
    nearest: BoundRow | None = None
    budget: Budget | None = None
    sighting: Sighting | None = None
    timing: tuple[str, ...] = ()
    left_out: str = ""

    @property
    def other_bounds(self) -> list[BoundRow]:
        """Every bound but the nearest to a pause, in the order they are judged."""
        return [bound for bound in self.bounds if bound is not self.nearest]


def build_card(
    experiment: Experiment,
    report: Report | None,
    evaluation: GuardrailEvaluation | None,
    daily: DailyAcceptance,
    sighting: Sighting | None,
    *,
    samples: Samples,
    spendings: Sequence[Spending],
    now: dt.datetime,
) -> Card:
    """Turn an experiment, its report (None for a draft) and its newest evaluation into a card.

    `samples` are the units of each variant since a climbing ramp's present step began, `spendings` what its earlier
    phases might spend.
    """
    verdicts = verdicts_of(experiment, evaluation, now=now)
    state = state_of(experiment, evaluation.verdict if evaluation else gravest_verdict(verdicts))
    limit = experiment.guardrail_config.get("min_acceptance_rate")
    bounds = bound_rows(verdicts, drop_currency_of(experiment.current_phase))
    return Card(
        experiment=experiment,
        state=state,
        reason=reason_for(experiment, state, verdicts),
        rows=_rows(experiment, report, verdicts),
        sparkline=_sparkline(report, daily, limit),
        limit=limit,
        next_step=next_step(experiment, state, verdicts),
        age=_age(experiment, now),
        phase_number=report.phase_number if report else None,
        computed_at=report.watermark_at if report else None,
        evaluation=evaluation,
        bounds=bounds,
        nearest=nearest_to_pause(bounds),
        budget=budget_of(experiment, verdicts, spendings),
        sighting=sighting,
        timing=timing_sentences(experiment, verdicts, samples, now=now),
        left_out=left_out_text(all_units(report)) if report else "",
    )


def verdicts_of(experiment: Experiment, evaluation: GuardrailEvaluation | None, *, now: dt.datetime) -> Verdicts:
    """Index an evaluation's frozen verdicts by variant key; empty without one.

    No record is kept of a seeded experiment: its verdicts are judged for the card, so that QA sees every badge.
    """
    entries = evaluation.verdicts if evaluation else _seeded_verdicts(experiment, now) if experiment.is_seeded else []
    return {entry["variant_key"]: entry for entry in entries}


def _seeded_verdicts(experiment: Experiment, now: dt.datetime) -> list[dict[str, Any]]:
    try:
        return to_record(verdicts_now(experiment, now=now))
    except GuardrailConfigError:
        return []  # unreadable guardrails are the checklist's to tell; the other cards must still come


def gravest_verdict(verdicts: Verdicts) -> str:
    """Return the verdict that counts most, '' where none was reached."""
    return gravest(from_record(verdicts.values())) if verdicts else ""


def _rows(experiment: Experiment, report: Report | None, verdicts: Verdicts) -> tuple[VariantRow, ...]:
    if report is None:
        return tuple(
            _draft_row(variant.key, variant.name, variant.bundle_id, variant.is_control)
            for variant in experiment.variants.all()
        )
    return tuple(_row(variant, verdicts.get(variant.key)) for variant in report.variants)


def _draft_row(key: str, name: str, bundle_slug: str | None, is_control: bool) -> VariantRow:
    return VariantRow(
        key=key,
        name=name,
        offer=bundle_slug or "no offer",
        is_control=is_control,
        exposed=0,
        sample=0,
        conversions=0,
        rate=None,
        lift=None,
        lift_note="",
        forest=None,
        state=None,
        is_flagged=False,
    )


def _row(variant: VariantReport, verdict: Mapping[str, Any] | None) -> VariantRow:
    note = range_text(variant.lift_interval) or (variant.lift_reason if variant.sample_size else "")
    return VariantRow(
        key=variant.key,
        name=variant.name,
        offer=variant.bundle_slug or "no offer",
        is_control=variant.is_control,
        exposed=variant.exposed_count,
        sample=variant.sample_size,
        conversions=variant.acceptance_count,
        rate=variant.acceptance_rate,
        lift=variant.lift if variant.lift_interval else None,
        lift_note="" if variant.is_control else note,
        forest=None if variant.is_control else forest(variant.lift, variant.lift_interval),
        state=verdict_state(verdict["verdict"]) if verdict else None,
        is_flagged=verdict is not None and verdict["verdict"] in ("breached", "outage", "watch"),
    )


def _sparkline(report: Report | None, daily: DailyAcceptance, limit: float | None) -> Sparkline | None:
    if report is None or not daily:
        return None
    days = sorted({day for entries in daily.values() for day, _, _ in entries})[-28:]
    control = next((variant.key for variant in report.variants if variant.is_control), None)
    series = {key: _daily_rates(entries, days) for key, entries in daily.items()}
    return sparkline(series, control, limit)


def _daily_rates(entries: Sequence[tuple[dt.date, int, int]], days: Sequence[dt.date]) -> list[float | None]:
    rates = {day: accepted / n for day, n, accepted in entries if n}
    return [rates.get(day) for day in days]


def _age(experiment: Experiment, now: dt.datetime) -> str:
    if experiment.started_at is None:
        return f"created {experiment.created_at:%-d %B}"
    if experiment.completed_at is not None:
        return f"ran from {experiment.started_at:%-d %B} to {experiment.completed_at:%-d %B}"
    day = (now - experiment.started_at).days + 1
    return f"started {experiment.started_at:%-d %B}, day {day}"
