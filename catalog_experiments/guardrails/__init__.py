"""Guardrails: thresholds and observations in, one verdict per variant out. Pure.

The step of the walk between `analysis` and `enforcement`. A verdict is a function of its inputs alone, so a frozen
record can be judged again at any time with the same result.
"""

from catalog_experiments.guardrails.config import (
    BOUNDS,
    GuardrailConfig,
    GuardrailConfigError,
    dump_config,
    effective_minimum,
    parse_config,
    refusals,
)
from catalog_experiments.guardrails.evidence import BoundEvidence, Span
from catalog_experiments.guardrails.literal import LatestMetric, breaches
from catalog_experiments.guardrails.observations import HourTally, Observation, PhaseFrame
from catalog_experiments.guardrails.records import (
    RULE_VERSION,
    UnknownRuleVersion,
    from_record,
    judge_record,
    record_inputs,
    recorded_frame,
    to_record,
)
from catalog_experiments.guardrails.verdicts import VariantVerdict, Verdict, gravest, judge

__all__ = [
    "BOUNDS",
    "RULE_VERSION",
    "BoundEvidence",
    "GuardrailConfig",
    "GuardrailConfigError",
    "HourTally",
    "LatestMetric",
    "Observation",
    "PhaseFrame",
    "Span",
    "UnknownRuleVersion",
    "VariantVerdict",
    "Verdict",
    "breaches",
    "dump_config",
    "effective_minimum",
    "from_record",
    "gravest",
    "judge",
    "judge_record",
    "parse_config",
    "record_inputs",
    "recorded_frame",
    "refusals",
    "to_record",
]
