"""Guardrail settings: strict, complete in their complaints, and small when dumped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.guardrails import (
    GuardrailConfig,
    GuardrailConfigError,
    dump_config,
    effective_minimum,
    parse_config,
    refusals,
)

fractions = st.floats(0.01, 0.99)
configs = st.builds(
    GuardrailConfig,
    min_acceptance_rate=st.none() | st.floats(0.01, 0.4),
    max_acceptance_rate=st.none() | st.floats(0.5, 0.99),
    max_drop_vs_control=st.none() | fractions,
    min_sample_size=st.none() | st.integers(0, 1_000_000),
    alpha=st.floats(0.0001, 0.49),
    mode=st.sampled_from(["enforce", "shadow"]),
)


def test_parse_config__empty__enforces_nothing_with_the_defaults() -> None:
    config = parse_config({})

    assert config == GuardrailConfig()
    assert (config.bounds, config.alpha, config.pause_rule, config.mode) == ((), 0.05, "evidence", "enforce")


def test_parse_config__every_key__is_read() -> None:
    raw = {
        "min_acceptance_rate": 0.1,
        "max_acceptance_rate": 0.9,
        "max_drop_vs_control": 0.2,
        "min_sample_size": 250,
        "alpha": 0.01,
        "pause_rule": "persistent",
        "consecutive": 5,
        "mode": "shadow",
        "drop_metric": "revenue",
        "pause_rule_reason": "As before",
    }

    config = parse_config(raw)

    assert dump_config(config) == raw
    assert config.bounds == ("min_acceptance_rate", "max_acceptance_rate", "max_drop_vs_control")


@given(configs)
def test_dump_config__any_settings__are_read_back_through_json(config: GuardrailConfig) -> None:
    assert parse_config(json.loads(json.dumps(dump_config(config)))) == config


def test_parse_config__null__means_not_set() -> None:
    assert parse_config({"min_acceptance_rate": None, "alpha": None, "consecutive": None}) == GuardrailConfig()


@pytest.mark.parametrize(
    ("raw", "field", "code"),
    [
        ({"min_rate": 0.1}, "min_rate", "unknown"),
        ({"min_acceptance_rate": "0.5"}, "min_acceptance_rate", "type"),
        ({"min_acceptance_rate": True}, "min_acceptance_rate", "type"),
        ({"min_acceptance_rate": float("nan")}, "min_acceptance_rate", "type"),
        ({"max_acceptance_rate": float("inf")}, "max_acceptance_rate", "type"),
        ({"min_acceptance_rate": 10**400}, "min_acceptance_rate", "range"),
        ({"min_acceptance_rate": 0}, "min_acceptance_rate", "range"),
        ({"max_acceptance_rate": 1}, "max_acceptance_rate", "percent"),
        ({"min_acceptance_rate": 35}, "min_acceptance_rate", "percent"),
        ({"max_drop_vs_control": -0.2}, "max_drop_vs_control", "range"),
        ({"min_sample_size": "many"}, "min_sample_size", "type"),
        ({"min_sample_size": 250.0}, "min_sample_size", "type"),
        ({"min_sample_size": False}, "min_sample_size", "type"),
        ({"min_sample_size": 1_000_001}, "min_sample_size", "range"),
        ({"alpha": 0.5}, "alpha", "range"),
        ({"alpha": 0}, "alpha", "range"),
        ({"pause_rule": "never"}, "pause_rule", "choice"),
        ({"pause_rule": ["persistent"]}, "pause_rule", "choice"),
        ({"mode": "off"}, "mode", "choice"),
        ({"pause_rule": "persistent", "consecutive": 0}, "consecutive", "range"),
        ({"consecutive": 3}, "consecutive", "order"),
        ({"drop_metric": "revenue"}, "drop_metric", "order"),
        ({"max_drop_vs_control": 0.2, "drop_metric": "margin"}, "drop_metric", "choice"),
        ({"pause_rule_reason": "As before"}, "pause_rule_reason", "order"),
        ({"pause_rule": "persistent", "pause_rule_reason": 7}, "pause_rule_reason", "type"),
        ({"pause_rule": "persistent", "pause_rule_reason": "x" * 501}, "pause_rule_reason", "too_long"),
        ({"min_acceptance_rate": 0.4, "max_acceptance_rate": 0.4}, "min_acceptance_rate", "order"),
    ],
)
def test_parse_config__wrong__is_refused_by_field(raw: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(GuardrailConfigError) as caught:
        parse_config(raw)

    assert [(error.field, error.code) for error in caught.value.errors] == [(field, code)]


def test_parse_config__percent__names_the_remedy() -> None:
    with pytest.raises(GuardrailConfigError, match=r"for 35 % write 0\.35"):
        parse_config({"min_acceptance_rate": 35})


def test_parse_config__several_faults__lists_them_all() -> None:
    with pytest.raises(GuardrailConfigError) as caught:
        parse_config({"b": 1, "a": 2, "alpha": "x", "mode": 3})

    assert [error.field for error in caught.value.errors] == ["a", "b", "alpha", "mode"]


def test_effective_minimum__own_guardrail_of_zero__falls_back_to_the_alias() -> None:
    config = GuardrailConfig(min_sample_size=80)

    assert [effective_minimum(config, own) for own in (0, 250)] == [80, 250]
    assert effective_minimum(GuardrailConfig(), 0) == 0


def test_refusals__persistent__wants_a_reason_and_takes_one() -> None:
    bare, told = {"pause_rule": "persistent"}, {"pause_rule": "persistent", "pause_rule_reason": "As before"}

    assert [error.field for error in refusals(bare)] == ["pause_rule_reason"]
    assert refusals(told) == ()
    assert refusals({}) == ()


def test_refusals__unreadable_bound_beside_what_belongs_to_it__blames_the_bound_alone() -> None:
    errors = refusals({"max_drop_vs_control": "a tenth", "drop_metric": "revenue"})

    assert [error.field for error in errors] == ["max_drop_vs_control"]
