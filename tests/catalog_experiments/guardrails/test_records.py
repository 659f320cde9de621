"""Records: a verdict can be recomputed from its JSON alone, today and against the frozen examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.guardrails import (
    RULE_VERSION,
    GuardrailConfig,
    UnknownRuleVersion,
    from_record,
    judge,
    judge_record,
    record_inputs,
    to_record,
)
from catalog_experiments.stats.moments import VariantMoments
from tests.catalog_experiments.guardrails.scenes import frame, variant

FROZEN = Path(__file__).parent.parent / "vectors" / "guardrail_records.json"
EVERY_BOUND = GuardrailConfig(min_acceptance_rate=0.1, max_acceptance_rate=0.5, max_drop_vs_control=0.2)

hours = st.lists(st.integers(0, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=120)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@given(hours, hours, st.sampled_from(["evidence", "persistent"]), st.sampled_from([(), ("telemetry_silent",)]))
def test_judge_record__any_inputs_through_json__gives_the_recorded_verdicts(
    control: list[tuple[int, int]], test: list[tuple[int, int]], rule: Any, holds: tuple[str, ...]
) -> None:
    phase = frame(GuardrailConfig(min_acceptance_rate=0.1, pause_rule=rule), hours=max(len(control), len(test), 1))
    observed = [variant("control", control), variant("test", test, revised_count=1)]

    recorded = through_json(to_record(judge(phase, observed, holds=holds)))

    assert judge_record(through_json(record_inputs(phase, observed, holds=holds))) == recorded


def test_judge_record__from_before_revisions_were_counted__gives_the_same_verdicts() -> None:
    observed = [variant("control", [(100, 15)] * 6), variant("test", [(100, 5)] * 6, revised_n=7, revised_count=2)]
    inputs = through_json(record_inputs(frame(EVERY_BOUND), observed))
    for own in inputs["observations"]:
        del own["revised_n"]

    assert judge_record(inputs) == through_json(to_record(judge(frame(EVERY_BOUND), observed)))


def test_judge_record__harm_and_exposures__survive_json() -> None:
    exposures = variant("x", [(200, 100)] * 4).tallies
    observed = [
        variant("control", [(100, 15)] * 6, harm=VariantMoments.of_counts(1000, 10_000)),
        variant("test", harm=VariantMoments.of_counts(500, 10_000), exposures=exposures, planned_share=0.5),
    ]

    inputs = through_json(record_inputs(frame(EVERY_BOUND), observed))

    assert judge_record(inputs) == through_json(to_record(judge(frame(EVERY_BOUND), observed)))


def test_record_inputs__sixty_days__are_merged_to_a_small_record() -> None:
    observed = [variant("control", [(240, 36)] * 1440), variant("test", [(240, 36)] * 1440)]

    text = json.dumps(record_inputs(frame(hours=1440), observed))

    assert len(text) < 20_000


def test_from_record__verdicts__are_the_same_again() -> None:
    observed = [variant("control", [(100, 15)] * 6), variant("test", [(100, 5)] * 6)]
    record = through_json(to_record(judge(frame(EVERY_BOUND), observed)))

    verdicts = from_record(record)

    assert to_record(verdicts) == record
    assert verdicts[1].evidence[0].control is not None
    assert verdicts[1].evidence[0].control.rate == 0.15


def test_judge_record__another_rule__is_refused() -> None:
    inputs = record_inputs(frame(), []) | {"rule_version": "older"}

    with pytest.raises(UnknownRuleVersion, match=f"{RULE_VERSION}, not older"):
        judge_record(inputs)


@pytest.mark.parametrize("example", json.loads(FROZEN.read_text())["records"], ids=lambda example: example["name"])
def test_judge_record__frozen_example__is_judged_as_it_was(example: dict[str, Any]) -> None:
    verdicts = judge_record(example["inputs"])

    assert verdicts == example["verdicts"], "the rule changed: give it a new RULE_VERSION"
