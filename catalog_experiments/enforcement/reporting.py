"""What the guardrails say now, for people and for the runbook's client: stores nothing, never pauses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from catalog_experiments.enforcement.frame import EvaluationFrame, load_frames
from catalog_experiments.enforcement.judgement import judge_frame, observations_of
from catalog_experiments.guardrails import (
    BoundEvidence,
    GuardrailConfig,
    HourTally,
    LatestMetric,
    VariantVerdict,
    Verdict,
    breaches,
    from_record,
    gravest,
    judge,
    parse_config,
    recorded_frame,
)
from catalog_experiments.models import (
    EvaluationAction,
    Experiment,
    GuardrailEvaluation,
    PauseCause,
    PhaseOrigin,
    VariantMetric,
)


@dataclass(frozen=True, slots=True)
class VariantBreach:
    """One variant: the runbook's literal codes on its newest metric row, and the verdict that rests on evidence.

    `breaches` draws from `sample_size`, `min_acceptance_rate`, `max_acceptance_rate`; `codes` gives the reasons of the
    verdict. `latest_metric` is None before the first aggregation.
    """

    variant_key: str
    bundle_slug: str | None
    breaches: tuple[str, ...]
    latest_metric: VariantMetric | None
    verdict: Verdict
    evidence: tuple[BoundEvidence, ...]
    codes: tuple[str, ...] = ()
    is_control: bool = False


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """All variants, control first, with the gravest verdict.

    `is_latched` says that the verdicts are those which paused the experiment, as recorded; then
    `would_no_longer_cross` tells whether the same guardrails, judged at the same moment on its orders as they are
    counted now, would have let it run. `record` is the newest frozen record in force, None before the first: while
    nothing is news, the verdicts are those in it.
    """

    experiment: str
    breaches: tuple[VariantBreach, ...]
    verdict: Verdict
    evaluated_at: datetime
    is_latched: bool = False
    would_no_longer_cross: bool = False
    record: GuardrailEvaluation | None = None


def report(experiment: Experiment, *, now: datetime) -> EvaluationReport:
    """Judge an experiment in any status on the numbers as they are stored.

    A draft is collecting. A seeded experiment is judged on its seeded counts. After an automatic pause the recorded
    verdicts stand.

    Raises:
        GuardrailConfigError: the stored guardrails are not valid.
    """
    frame = _frame_of(experiment, now)
    if frame is None:
        return _draft_report(experiment, now)
    latching = _latching(frame)
    verdicts = from_record(latching.verdicts) if latching else _fresh(frame)
    return EvaluationReport(
        experiment=experiment.slug,
        breaches=tuple(_variant_breach(frame, verdict) for verdict in verdicts),
        verdict=gravest(verdicts),
        evaluated_at=now,
        is_latched=latching is not None,
        would_no_longer_cross=latching is not None and not _still_crosses(experiment, latching),
        record=frame.previous,
    )


def verdicts_now(experiment: Experiment, *, now: datetime) -> tuple[VariantVerdict, ...]:
    """Judge an experiment on the numbers as they are stored, whatever was recorded before; empty for a draft.

    What a card shows of a seeded experiment, of which no record is kept.

    Raises:
        GuardrailConfigError: the stored guardrails are not valid.
    """
    frame = _frame_of(experiment, now)
    return _fresh(frame) if frame is not None else ()


def _frame_of(experiment: Experiment, now: datetime) -> EvaluationFrame | None:
    return load_frames([experiment], watermark_at=_as_of(experiment, now)).get(experiment.pk)


def _fresh(frame: EvaluationFrame) -> tuple[VariantVerdict, ...]:
    return judge_frame(_seeded(frame) if frame.phase.origin == PhaseOrigin.SEEDED else frame).verdicts


def _as_of(experiment: Experiment, now: datetime) -> datetime:
    # No block of a phase opens after it was closed.
    phase = experiment.current_phase
    return phase.closed_at if phase is not None and phase.closed_at is not None else now


def _draft_report(experiment: Experiment, now: datetime) -> EvaluationReport:
    config = parse_config(experiment.guardrail_config)
    codes = breaches(None, config, experiment.sample_size_guardrail)
    variants = tuple(
        VariantBreach(
            variant_key=variant.key,
            bundle_slug=variant.bundle_id,
            breaches=codes,
            latest_metric=None,
            verdict=Verdict.COLLECTING,
            evidence=(),
            codes=("sample_size",),
            is_control=variant.is_control,
        )
        for variant in experiment.variants.all()
    )
    return EvaluationReport(experiment.slug, variants, Verdict.COLLECTING, now)


def _variant_breach(frame: EvaluationFrame, verdict: VariantVerdict) -> VariantBreach:
    row = frame.metrics.get(verdict.variant_key)
    snapshot = next(own for own in frame.phase.variants if own["key"] == verdict.variant_key)
    return VariantBreach(
        variant_key=verdict.variant_key,
        bundle_slug=snapshot["bundle_slug"],
        breaches=_literal_codes(frame, row),
        latest_metric=row,
        verdict=verdict.verdict,
        evidence=verdict.evidence,
        codes=verdict.codes,
        is_control=verdict.is_control,
    )


def _literal_codes(frame: EvaluationFrame, row: VariantMetric | None) -> tuple[str, ...]:
    config: GuardrailConfig = parse_config(frame.experiment.guardrail_config)
    latest = LatestMetric(row.sample_size, row.acceptance_rate) if row else None
    return breaches(latest, config, frame.experiment.sample_size_guardrail)


def _latching(frame: EvaluationFrame) -> GuardrailEvaluation | None:
    """Return the record that paused the experiment, while that pause stands."""
    experiment, record = frame.experiment, frame.previous
    is_stopped = not experiment.is_running and experiment.pause_cause in (PauseCause.BREACHED, PauseCause.OUTAGE)
    return record if is_stopped and record is not None and record.action == EvaluationAction.PAUSED else None


def _still_crosses(experiment: Experiment, record: GuardrailEvaluation) -> bool:
    """Judge the record's moment once more, so that neither later orders, later hours nor holds count, but revisions."""
    frame = load_frames([experiment], watermark_at=record.watermark_at)[experiment.pk]
    then = {key: [own for own in hours if own.hour_at <= frame.judged_at] for key, hours in frame.tallies.items()}
    verdicts = judge(recorded_frame(record.inputs), observations_of(replace(frame, tallies=then)))
    return any(verdict.would_pause for verdict in verdicts)


def _seeded(frame: EvaluationFrame) -> EvaluationFrame:
    """Give a seeded experiment the tallies its metric rows imply: all outcomes in the phase's first hour."""
    tallies = {
        key: (HourTally(frame.phase.opened_at, row.sample_size, row.acceptance_count),)
        for key, row in frame.metrics.items()
    }
    return EvaluationFrame(
        experiment=frame.experiment,
        phase=frame.phase,
        watermark_at=frame.watermark_at,
        tallies=tallies,
        metrics=frame.metrics,
    )
