"""The frozen record: inputs and verdicts as JSON, so that a verdict can be recomputed from its record alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from catalog_experiments.guardrails.config import GuardrailConfig
from catalog_experiments.guardrails.evidence import BoundEvidence, Span
from catalog_experiments.guardrails.observations import HourTally, Observation, PhaseFrame
from catalog_experiments.guardrails.verdicts import VariantVerdict, Verdict, judge
from catalog_experiments.stats.blocks import merge_old_hours
from catalog_experiments.stats.moments import VariantMoments

RULE_VERSION = "mixture-1"
"""Names the rule that judged a record. It changes whenever the same inputs could give another verdict."""

Json = dict[str, Any]

_DECIMALS = 9


class UnknownRuleVersion(ValueError):
    """The record was judged by a rule this code does not know."""


def record_inputs(frame: PhaseFrame, observations: Sequence[Observation], *, holds: Iterable[str] = ()) -> Json:
    """Return the inputs of a judgement as JSON: times in ISO 8601 with offset, counts as integers.

    Hours older than 48 are merged into the phase's own days, which changes no evidence; under the rule `persistent`
    they are kept, because its batches are cut at hours.
    """
    return {
        "rule_version": RULE_VERSION,
        "frame": {
            "opened_at": frame.opened_at.isoformat(),
            "now": frame.now.isoformat(),
            "alpha": frame.alpha,
            "minimum_sample": frame.minimum_sample,
            "planned_sample_size": frame.planned_sample_size,
            "config": asdict(frame.config),
        },
        "observations": [_observation_to_json(frame, observation) for observation in observations],
        "holds": list(holds),
    }


def judge_record(inputs: Mapping[str, Any]) -> list[Json]:
    """Judge recorded inputs again and return the verdicts as they stand in the record.

    Raises:
        UnknownRuleVersion: the record belongs to another rule.
        KeyError: the record is not one of `record_inputs`.
    """
    if inputs["rule_version"] != RULE_VERSION:
        raise UnknownRuleVersion(f"This code judges {RULE_VERSION}, not {inputs['rule_version']}.")
    frame = recorded_frame(inputs)
    observations = [_observation_from_json(each) for each in inputs["observations"]]
    return to_record(judge(frame, observations, holds=inputs["holds"]))


def recorded_frame(inputs: Mapping[str, Any]) -> PhaseFrame:
    """Return the phase, the moment and the thresholds of recorded inputs.

    Raises:
        KeyError: the record is not one of `record_inputs`.
    """
    plain: Mapping[str, Any] = inputs["frame"]
    times = {name: datetime.fromisoformat(plain[name]) for name in ("opened_at", "now")}
    return PhaseFrame(**{**plain, **times, "config": GuardrailConfig(**plain["config"])})


def to_record(verdicts: Iterable[VariantVerdict]) -> list[Json]:
    """Return verdicts as JSON, one per variant in their order; fractions and logarithms with 9 decimals.

    The rounding hides the last bits in which mathematical libraries differ; the verdict itself is decided before it.
    """
    return [_plain(asdict(verdict)) for verdict in verdicts]


def from_record(record: Iterable[Mapping[str, Any]]) -> tuple[VariantVerdict, ...]:
    """Return recorded verdicts as objects, with the rounded numbers of the record."""
    return tuple(_verdict_from_json(each) for each in record)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return round(value, _DECIMALS)
    return str(value) if isinstance(value, Verdict) else value


def _observation_to_json(frame: PhaseFrame, observation: Observation) -> Json:
    plain: Json = {
        each.name: getattr(observation, each.name) for each in fields(observation) if each.name not in _NESTED
    }
    keeps_hours = frame.config.pause_rule == "persistent"
    for name in ("tallies", "exposures"):
        tallies = getattr(observation, name)
        hours = sorted(tallies) if keeps_hours else merge_old_hours(frame.clock, tallies)
        plain[name] = [[tally.hour_at.isoformat(), tally.n, tally.accepted] for tally in hours]
    plain["harm"] = asdict(observation.harm) if observation.harm else None
    return plain


_NESTED = frozenset({"tallies", "exposures", "harm"})


def _observation_from_json(plain: Mapping[str, Any]) -> Observation:
    hours = {
        name: tuple(HourTally(datetime.fromisoformat(hour_at), n, accepted) for hour_at, n, accepted in plain[name])
        for name in ("tallies", "exposures")
    }
    harm = VariantMoments(**plain["harm"]) if plain["harm"] else None
    return Observation(**{**plain, **hours, "harm": harm})


def _verdict_from_json(plain: Mapping[str, Any]) -> VariantVerdict:
    evidence = tuple(_evidence_from_json(each) for each in plain["evidence"])
    parsed = {"verdict": Verdict(plain["verdict"]), "codes": tuple(plain["codes"]), "evidence": evidence}
    return VariantVerdict(**{**plain, **parsed})


def _evidence_from_json(plain: Mapping[str, Any]) -> BoundEvidence:
    spans = {name: _span_from_json(plain[name]) for name in ("span", "control")}
    batches = tuple((n, accepted) for n, accepted in plain["batches"])
    return BoundEvidence(**{**plain, **spans, "batches": batches})


def _span_from_json(plain: Mapping[str, Any] | None) -> Span | None:
    return Span(**{**plain, "opened_at": datetime.fromisoformat(plain["opened_at"])}) if plain else None
