"""The verdict per variant: what the evidence, the control, the holds and the sample add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from catalog_experiments.guardrails.evidence import EXPOSURE_SHARE, BoundEvidence, Scene, gather, set_scene
from catalog_experiments.guardrails.observations import Observation, PhaseFrame

SAMPLE_SIZE = "sample_size"
BOUND_UNFIT = "bound_unfit"
CONTROL_SILENT = "control_silent"
CONTROL_WITHOUT_BUNDLE = "control_without_bundle"
EXPOSURE_COLLAPSE = "exposure_collapse"
HEAVY_REVISION = "heavy_revision"

SETTLING = timedelta(days=7)
"""How long absolute bounds wait when the control makes no offer."""

REVISED_ONE_IN = 20
"""One counted outcome of so many may be revised between two evaluations; more of them are a hold."""


class Verdict(StrEnum):
    """What a variant's data says, gravest first."""

    OUTAGE = "outage"
    BREACHED = "breached"
    HOLD = "hold"
    COLLECTING = "collecting"
    WATCH = "watch"
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class VariantVerdict:
    """The verdict on one variant, with the numbers behind it.

    Attributes:
        variant_key: key of the variant.
        is_control: the control is never paused; its own breach only alerts.
        verdict: see `Verdict`.
        codes: reasons: names of bounds, `sample_size`, `exposure_collapse`, hold causes, and the notes `bound_unfit`
            (the control misses the bound too), `control_silent`, `control_without_bundle`.
        should_pause: pause the experiment now.
        would_pause: the same, ignoring mode `shadow`.
        sample: net outcomes since the phase began.
        accepted: acceptances among them.
        rate: accepted / sample, in [0, 1]; None without outcomes.
        evidence: one per enforced bound.
    """

    variant_key: str
    is_control: bool
    verdict: Verdict
    codes: tuple[str, ...]
    should_pause: bool
    would_pause: bool
    sample: int
    accepted: int
    rate: float | None
    evidence: tuple[BoundEvidence, ...]


def judge(
    frame: PhaseFrame, observations: Sequence[Observation], *, holds: Iterable[str] = ()
) -> tuple[VariantVerdict, ...]:
    """Return one verdict per observation, in their order.

    A pure function of its arguments: the same data gives the same verdicts. It remembers nothing; keeping a breach
    latched is the caller's part.

    Args:
        frame: the phase and the thresholds in force.
        observations: every variant of the phase, the control among them.
        holds: causes why the experiment's data cannot be trusted now; heavy revision is found here. A hold stops
            ordinary pauses (a breach then shows without pausing), never an outage.

    Raises:
        ValueError: more than one control.
    """
    scene = set_scene(frame, observations)
    causes = tuple(dict.fromkeys((*holds, *(HEAVY_REVISION for each in observations if _is_heavily_revised(each)))))
    return tuple(_judge_variant(scene, observation, causes) for observation in observations)


def gravest(verdicts: Iterable[VariantVerdict]) -> Verdict:
    """Return the gravest verdict of all variants; healthy for none."""
    order = list(Verdict)
    return min((each.verdict for each in verdicts), key=order.index, default=Verdict.HEALTHY)


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the single bounds came to, before precedence."""

    outage: tuple[str, ...]
    breached: tuple[str, ...]
    watch: tuple[str, ...]
    notes: tuple[str, ...]


def _judge_variant(scene: Scene, observation: Observation, holds: tuple[str, ...]) -> VariantVerdict:
    sample = sum(tally.n for tally in observation.tallies)
    accepted = sum(tally.accepted for tally in observation.tallies)
    is_collecting = sample < max(1, scene.frame.minimum_sample)
    evidence = gather(scene, observation)
    findings = _find(scene, observation, evidence, is_collecting)
    verdict, codes = _by_precedence(findings, holds, is_collecting)
    is_stopping = verdict == Verdict.OUTAGE or (verdict == Verdict.BREACHED and not holds)
    would_pause = is_stopping and not observation.is_control
    return VariantVerdict(
        variant_key=observation.variant_key,
        is_control=observation.is_control,
        verdict=verdict,
        codes=tuple(dict.fromkeys(codes)),
        should_pause=would_pause and scene.frame.config.mode == "enforce",
        would_pause=would_pause,
        sample=sample,
        accepted=accepted,
        rate=accepted / sample if sample else None,
        evidence=evidence,
    )


def _by_precedence(findings: _Findings, holds: tuple[str, ...], is_collecting: bool) -> tuple[Verdict, tuple[str, ...]]:
    if findings.outage:
        return Verdict.OUTAGE, (*findings.outage, *findings.notes)
    if findings.breached:
        return Verdict.BREACHED, (*findings.breached, *holds, *findings.notes)
    if holds:
        return Verdict.HOLD, (*holds, *findings.notes)
    if is_collecting:
        return Verdict.COLLECTING, (SAMPLE_SIZE, *findings.notes)
    if findings.watch or findings.notes:
        return Verdict.WATCH, (*findings.watch, *findings.notes)
    return Verdict.HEALTHY, ()


def _find(scene: Scene, observation: Observation, evidence: Sequence[BoundEvidence], is_collecting: bool) -> _Findings:
    outage, breached, watch, notes = list[str](), list[str](), list[str](), list[str]()
    for each in evidence:
        objection = _objection(scene, observation, each)
        may_breach = each.is_crossed and (not is_collecting or each.bound == "max_drop_vs_control")
        if each.bound == EXPOSURE_SHARE:
            outage += [EXPOSURE_COLLAPSE] if each.is_crossed else []
        elif each.is_outage and objection in ("", CONTROL_WITHOUT_BUNDLE):
            outage.append(each.bound)
        elif may_breach and (not objection or _ignores_control(scene, each)):
            breached.append(each.bound)
        else:
            watch += [each.bound] if may_breach or each.is_estimate_outside else []
            notes += [objection] if objection and (may_breach or each.is_outage) else []
    return _Findings(tuple(outage), tuple(breached), tuple(watch), tuple(notes))


def _objection(scene: Scene, observation: Observation, evidence: BoundEvidence) -> str:
    """Return why this evidence may not pause the variant by itself; empty when it may."""
    if observation.is_control or evidence.span is None:
        return ""
    if scene.control is None:
        return CONTROL_SILENT
    if not scene.control.has_bundle:
        has_settled = scene.frame.now - scene.frame.opened_at >= SETTLING
        return "" if has_settled else CONTROL_WITHOUT_BUNDLE
    if evidence.control is None or evidence.control.rate is None:
        return CONTROL_SILENT
    return "" if evidence.is_inside(evidence.control.rate) else BOUND_UNFIT


def _ignores_control(scene: Scene, evidence: BoundEvidence) -> bool:
    return scene.frame.config.pause_rule == "persistent" and evidence.bound != "max_drop_vs_control"


def _is_heavily_revised(observation: Observation) -> bool:
    return observation.revised_count * REVISED_ONE_IN > sum(tally.n for tally in observation.tallies)
