"""From a frame to its verdicts: what the guardrails are asked, and the digest that tells new data from old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from catalog_experiments.analysis.sample_ratio import planned_shares
from catalog_experiments.enforcement.canonical import digest_of, plain
from catalog_experiments.enforcement.frame import EvaluationFrame, Harm
from catalog_experiments.enforcement.holds import holds_of
from catalog_experiments.enforcement.outcomes import Gross
from catalog_experiments.guardrails import (
    BOUNDS,
    GuardrailConfig,
    HourTally,
    Observation,
    PhaseFrame,
    VariantVerdict,
    Verdict,
    effective_minimum,
    from_record,
    gravest,
    judge,
    parse_config,
    record_inputs,
)
from catalog_experiments.guardrails.observations import DEFAULT_PLANNED_SAMPLE
from catalog_experiments.models import Experiment, Phase


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdicts of one frame, control first, with the plain inputs they follow from and the digest of these.

    Equal data has an equal digest; `is_unchanged` says that the previous record has it already.
    """

    frame: EvaluationFrame
    config: GuardrailConfig
    inputs: Mapping[str, Any]
    inputs_digest: str
    verdicts: tuple[VariantVerdict, ...]
    is_unchanged: bool

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of all variants."""
        return gravest(self.verdicts)


def config_in_force(experiment: Experiment, phase: Phase) -> GuardrailConfig:
    """Return the guardrails of a phase: its own set of bounds and rules, with thresholds as they are edited now.

    Editing a threshold costs nothing; which bounds are enforced, alpha, mode and pause rule are fixed by the phase.

    Raises:
        GuardrailConfigError: the stored settings are not valid.
    """
    edited = {
        name: experiment.guardrail_config[name]
        for name in BOUNDS
        if name in phase.bounds and experiment.guardrail_config.get(name) is not None
    }
    return parse_config({**phase.bounds, **edited})


def judge_frame(frame: EvaluationFrame) -> Judgement:
    """Judge a frame; a pure function of it.

    Raises:
        GuardrailConfigError: the stored guardrails are not valid.
        ValueError: the phase has more than one control.
    """
    config, holds = config_in_force(frame.experiment, frame.phase), holds_of(frame)
    phase_frame = _phase_frame(frame, config)
    observations = observations_of(frame)
    # Revisions count since the last record. Judged again without news, the same ones are still the newest.
    known = _with_recorded_revisions(frame, observations)
    inputs = plain(record_inputs(phase_frame, known, holds=holds))
    inputs_digest = digest_of(inputs)
    if frame.previous is not None and frame.previous.inputs_digest == inputs_digest:
        # Equal inputs were judged when they were recorded.
        return Judgement(frame, config, inputs, inputs_digest, from_record(frame.previous.verdicts), is_unchanged=True)
    fresh = [replace(own, revised_count=_revised_count(frame, own)) for own in observations]
    if fresh != known:
        inputs = plain(record_inputs(phase_frame, fresh, holds=holds))
        inputs_digest = digest_of(inputs)
    verdicts = judge(phase_frame, fresh, holds=holds)
    return Judgement(frame, config, inputs, inputs_digest, verdicts, is_unchanged=False)


def observations_of(frame: EvaluationFrame) -> list[Observation]:
    """Return what each variant has shown, in the phase's order; revisions are not counted here."""
    return [_observation(frame, snapshot) for snapshot in frame.phase.variants]


def _phase_frame(frame: EvaluationFrame, config: GuardrailConfig) -> PhaseFrame:
    phase = frame.phase
    planned = phase.planned_sample_size
    return PhaseFrame(
        opened_at=phase.opened_at,
        now=frame.judged_at,
        alpha=phase.alpha,
        minimum_sample=effective_minimum(config, frame.experiment.sample_size_guardrail),
        config=config,
        planned_sample_size=planned * len(phase.variants) if planned else DEFAULT_PLANNED_SAMPLE,
    )


def _observation(frame: EvaluationFrame, snapshot: Mapping[str, Any]) -> Observation:
    key, is_control = snapshot["key"], bool(snapshot["is_control"])
    gross = frame.gross.get(key, Gross())
    share, harm = planned_shares(frame.phase.variants)[key], frame.harm.get(key, Harm())
    return Observation(
        variant_key=key,
        is_control=is_control,
        has_bundle=snapshot["bundle_slug"] is not None,
        tallies=tuple(frame.tallies.get(key, ())),
        gross_n=gross.n,
        gross_accepted=gross.accepted,
        revised_n=gross.revised,
        harm=harm.moments,
        harm_payers=harm.payers,
        exposures=_exposures(frame, key),
        planned_share=share if not is_control and 0 < share < 1 else None,
    )


def _exposures(frame: EvaluationFrame, key: str) -> tuple[HourTally, ...]:
    hours = sorted(frame.exposures.items())
    return tuple(HourTally(hour_at, sum(counts.values()), counts.get(key, 0)) for hour_at, counts in hours)


def _with_recorded_revisions(frame: EvaluationFrame, observations: list[Observation]) -> list[Observation]:
    recorded = _recorded(frame)
    return [
        replace(own, revised_count=recorded[own.variant_key]["revised_count"] if own.variant_key in recorded else 0)
        for own in observations
    ]


def _revised_count(frame: EvaluationFrame, observation: Observation) -> int:
    """Count how often a counted outcome changed or left since the previous record; late additions are none."""
    record = _recorded(frame).get(observation.variant_key)
    if record is None:
        return 0
    # A record from before revisions were counted has none: nothing was marked as one until then.
    before: int = record.get("revised_n", 0)
    return max(0, observation.revised_n - before)


def _recorded(frame: EvaluationFrame) -> dict[str, Mapping[str, Any]]:
    if frame.previous is None:
        return {}
    return {own["variant_key"]: own for own in frame.previous.inputs["observations"]}
