"""Evidence per bound: how strongly the counts speak against it, over which span, and what the control did there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog_experiments.guardrails.batches import closed_batches, is_persistently_outside
from catalog_experiments.guardrails.config import GuardrailConfig
from catalog_experiments.guardrails.observations import Observation, PhaseFrame
from catalog_experiments.stats.blocks import Block, BlockKind, BlockSeries, block_series
from catalog_experiments.stats.effects import difference
from catalog_experiments.stats.mixture import lower_limit, mixture_evidence, upper_limit
from catalog_experiments.stats.sequential import sequential_half_width

EXPOSURE_SHARE = "exposure_share"
"""Bound of the collapse check: half the planned share of the exposures."""

COLLAPSE_ALPHA = 0.0001
OUTAGE_FACTOR = 10
_HARM_UNITS = 100
_HARM_SUCCESSES = 20
_HARM_PAYERS = 100


@dataclass(frozen=True, slots=True)
class Span:
    """Outcomes of one variant from an opening until now."""

    kind: BlockKind
    opened_at: datetime
    n: int
    accepted: int

    @property
    def rate(self) -> float | None:
        """Acceptance over the span, in [0, 1]; None without outcomes."""
        return self.accepted / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class BoundEvidence:
    """The evidence against one bound of one variant.

    Attributes:
        bound: a name of `config.BOUNDS`, or `exposure_share`.
        threshold: the bound in force, a fraction.
        estimate: rate since the phase began; for a drop the contrast `m_t - (1 - d) m_c`; None when undefined.
        limit: exact limit of the rate at `alpha_share`: upper for a minimum, lower for a maximum; for a drop the upper
            end of the one-sided sequence of the contrast. The bound is crossed exactly when it lies beyond.
        alpha_share: this bound's part of alpha.
        pause_line: 1 / alpha_share; E at or above it crosses.
        log_e: natural logarithm of E; None for a drop.
        is_crossed: evidence (or, under `persistent`, the batches) says the bound is broken.
        is_outage: E reached ten times the pause line.
        span: the dominating block of this variant; None for a drop.
        control: the control's outcomes over the same span; None for a drop, or without control or control bundle.
        batches: the last closed batches (n, accepted), under `persistent` only.
    """

    bound: str
    threshold: float
    estimate: float | None
    limit: float | None
    alpha_share: float
    pause_line: float
    log_e: float | None
    is_crossed: bool
    is_outage: bool = False
    span: Span | None = None
    control: Span | None = None
    batches: tuple[tuple[int, int], ...] = ()

    def is_inside(self, rate: float) -> bool:
        """Say whether a rate meets this bound, equality included."""
        return rate <= self.threshold if self.bound == "max_acceptance_rate" else rate >= self.threshold

    @property
    def is_estimate_outside(self) -> bool:
        """Say whether the point estimate misses the bound, with or without evidence."""
        if self.estimate is None:
            return False
        return self.estimate < 0 if self.bound == "max_drop_vs_control" else not self.is_inside(self.estimate)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything shared by the bounds of one judgement, computed once."""

    frame: PhaseFrame
    control: Observation | None
    control_series: BlockSeries | None
    alpha_share: float


def set_scene(frame: PhaseFrame, observations: Sequence[Observation]) -> Scene:
    """Return the shared part: the control, its blocks, and alpha split over test variants and enforced bounds.

    Raises:
        ValueError: more than one control.
    """
    controls = [observation for observation in observations if observation.is_control]
    if len(controls) > 1:
        raise ValueError("An experiment has one control; more than one was observed.")
    control = controls[0] if controls else None
    tests = len(observations) - len(controls)
    share = frame.alpha / max(1, tests * len(frame.config.bounds))
    return Scene(frame, control, block_series(frame.clock, control.tallies) if control else None, share)


def gather(scene: Scene, observation: Observation) -> tuple[BoundEvidence, ...]:
    """Return the evidence for every enforced bound of one variant, in the order of `config.BOUNDS`."""
    config, evidence = scene.frame.config, list[BoundEvidence]()
    if observation.has_bundle:
        evidence += _acceptance_evidence(scene, observation)
    if observation.is_control:
        return tuple(evidence)
    if config.max_drop_vs_control is not None:
        evidence.append(_drop_evidence(scene, observation, config.max_drop_vs_control))
    if observation.planned_share is not None:
        evidence.append(_collapse_evidence(scene, observation, observation.planned_share))
    return tuple(evidence)


def _acceptance_evidence(scene: Scene, observation: Observation) -> list[BoundEvidence]:
    config = scene.frame.config
    series = _series(scene, observation)
    bounds = (("min_acceptance_rate", config.min_acceptance_rate), ("max_acceptance_rate", config.max_acceptance_rate))
    return [
        _rate_evidence(scene, observation, series, bound, threshold)
        for bound, threshold in bounds
        if threshold is not None
    ]


def _series(scene: Scene, observation: Observation) -> BlockSeries:
    if observation is scene.control and scene.control_series is not None:
        return scene.control_series
    return block_series(scene.frame.clock, observation.tallies)


def _rate_evidence(
    scene: Scene, observation: Observation, series: BlockSeries, bound: str, threshold: float
) -> BoundEvidence:
    share, is_maximum = scene.alpha_share, bound == "max_acceptance_rate"
    mixture = mixture_evidence(series.mirrored() if is_maximum else series, 1 - threshold if is_maximum else threshold)
    batches = _batches(scene, observation)
    has_evidence = mixture.log_e >= -math.log(share)
    return BoundEvidence(
        bound=bound,
        threshold=threshold,
        estimate=series.start.accepted / series.start.n if series.start.n else None,
        limit=lower_limit(series, share) if is_maximum else upper_limit(series, share),
        alpha_share=share,
        pause_line=1 / share,
        log_e=mixture.log_e,
        is_crossed=has_evidence if batches is None else is_persistently_outside(batches, threshold, is_maximum),
        is_outage=mixture.log_e >= math.log(OUTAGE_FACTOR / share),
        span=_span(scene, series, mixture.dominating),
        control=_control_span(scene, observation, mixture.dominating),
        batches=batches or (),
    )


def _batches(scene: Scene, observation: Observation) -> tuple[tuple[int, int], ...] | None:
    config: GuardrailConfig = scene.frame.config
    if config.pause_rule != "persistent":
        return None
    batches = closed_batches(observation.tallies, scene.frame.minimum_sample, scene.frame.now)
    return batches[-config.consecutive :] if len(batches) >= config.consecutive else ()


def _span(scene: Scene, series: BlockSeries, block: Block) -> Span:
    # Taken from the variant's own series: a mirrored block counts refusals.
    own = series.same_span(block)
    return Span(own.kind, scene.frame.clock.opened_at_of(own.kind, own.number), own.n, own.accepted)


def _control_span(scene: Scene, observation: Observation, block: Block) -> Span | None:
    if observation.is_control or scene.control_series is None or scene.control is None:
        return None
    if not scene.control.has_bundle:
        return None
    return _span(scene, scene.control_series, block)


def _drop_evidence(scene: Scene, observation: Observation, drop: float) -> BoundEvidence:
    share = scene.alpha_share
    half_width = sequential_half_width(scene.frame.planned_sample_size, share, one_sided=True)
    test, control = observation.harm, scene.control.harm if scene.control else None
    is_shown = _passes_harm_gate(scene, observation) and _passes_harm_gate(scene, scene.control)
    contrast = difference(test, control, half_width, retained=1 - drop) if is_shown and test and control else None
    upper = contrast.interval.upper if contrast and contrast.interval else None
    return BoundEvidence(
        bound="max_drop_vs_control",
        threshold=drop,
        estimate=contrast.value if contrast else None,
        limit=upper,
        alpha_share=share,
        pause_line=1 / share,
        log_e=None,
        is_crossed=upper is not None and upper < 0,
    )


def _passes_harm_gate(scene: Scene, observation: Observation | None) -> bool:
    if observation is None or observation.harm is None:
        return False
    # Counted in exposed units: harm that drives buyers away must not hide behind the sample of buyers.
    if observation.harm.n < max(_HARM_UNITS, scene.frame.minimum_sample):
        return False
    if observation.harm_payers is not None:
        return observation.harm_payers >= _HARM_PAYERS
    return observation.harm.total >= _HARM_SUCCESSES


def _collapse_evidence(scene: Scene, observation: Observation, planned_share: float) -> BoundEvidence:
    series = block_series(scene.frame.clock, observation.exposures)
    mixture = mixture_evidence(series, planned_share / 2)
    is_collapsed = mixture.log_e >= -math.log(COLLAPSE_ALPHA)
    return BoundEvidence(
        bound=EXPOSURE_SHARE,
        threshold=planned_share / 2,
        estimate=series.start.accepted / series.start.n if series.start.n else None,
        limit=upper_limit(series, COLLAPSE_ALPHA),
        alpha_share=COLLAPSE_ALPHA,
        pause_line=1 / COLLAPSE_ALPHA,
        log_e=mixture.log_e,
        is_crossed=is_collapsed,
        is_outage=is_collapsed,
        span=_span(scene, series, mixture.dominating),
    )
