"""Ramp plans: what is accepted, and what a ramp does where it stands."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from catalog_experiments.assignment import allocation, bucket, choose_variant, coverage_step
from catalog_experiments.ramp_plans import (
    Finding,
    Move,
    Obstacle,
    RampPlanError,
    RampStanding,
    RampStep,
    Reaction,
    decide,
    parse_plan,
    place_in,
    spell_out,
)
from tests.builders import NOON

DAY = dt.timedelta(hours=24)
PLAN = (
    RampStep(coverage=500, minimum_hours=24, minimum_sample=100),
    RampStep(coverage=2500, minimum_hours=48, minimum_sample=1200),
    RampStep(coverage=10_000, minimum_hours=24),
)


def standing(**changes: Any) -> RampStanding:
    """Return a ramp at its first step whose conditions are all met."""
    fields: dict[str, Any] = {"step": 1, "since_at": NOON, "now": NOON + DAY, "smallest_sample": 100}
    return RampStanding(**(fields | changes))


def codes_of(value: object, weights: list[int] | None = None) -> set[tuple[str, str]]:
    with pytest.raises(RampPlanError) as refused:
        parse_plan(value, weights)
    return {(error.field, error.code) for error in refused.value.errors}


def test_parse_plan__left_out__has_the_defaults() -> None:
    [step] = parse_plan([{"coverage": 10_000}])

    assert step == RampStep(
        coverage=10_000,
        minimum_hours=24,
        minimum_sample=0,
        on_guardrail=Reaction.ROLL_BACK,
        on_sample_ratio=Reaction.HOLD,
        on_hold=Reaction.HOLD,
    )


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        ("5 %", {("", "type")}),
        ([{"coverage": 100}] * 21, {("", "too_many")}),
        ([500], {("[0]", "type")}),
        ([{}], {("[0].coverage", "required")}),
        ([{"coverage": "500"}], {("[0].coverage", "type")}),
        ([{"coverage": True}], {("[0].coverage", "type")}),
        ([{"coverage": 0}], {("[0].coverage", "range")}),
        ([{"coverage": 10_001}], {("[0].coverage", "range")}),
        ([{"coverage": 500, "hours": 2}], {("[0].hours", "unknown_field")}),
        ([{"coverage": 500, "minimum_hours": -1}], {("[0].minimum_hours", "range")}),
        ([{"coverage": 500, "minimum_sample": 1.5}], {("[0].minimum_sample", "type")}),
        ([{"coverage": 500, "on_hold": "panic"}], {("[0].on_hold", "choice")}),
        ([{"coverage": 500, "on_hold": ["hold"]}], {("[0].on_hold", "choice")}),
        ([{"coverage": 500}, {"coverage": 500}], {("[1].coverage", "order")}),
        ([{"coverage": 500}, {"coverage": 400}], {("[1].coverage", "order")}),
        ([{"coverage": 500, "minimum_hours": 0}, {"coverage": 600}], {("[0].minimum_hours", "condition")}),
    ],
)
def test_parse_plan__unsound__names_field_and_code(value: object, faults: set[tuple[str, str]]) -> None:
    assert codes_of(value) == faults


def test_parse_plan__coverage_that_does_not_split__names_the_nearest() -> None:
    assert codes_of([{"coverage": 1000}], [1, 1, 1]) == {("[0].coverage", "allocation")}
    assert [step.coverage for step in parse_plan([{"coverage": 999}, {"coverage": 10_000}], [1, 1, 1])] == [999, 10_000]


def test_spell_out__abridged_and_full__are_the_same_plan() -> None:
    full = spell_out([{"coverage": 500}])

    assert spell_out(full) == full
    assert isinstance(full, list)
    assert set(full[0]) == set(RampStep.__slots__)


@pytest.mark.parametrize(("coverage", "step"), [(100, 0), (500, 1), (2499, 1), (2500, 2), (10_000, 3)])
def test_place_in__present_coverage__is_the_last_step_not_above_it(coverage: int, step: int) -> None:
    assert place_in(PLAN, coverage) == step


def test_decide__all_conditions_met__advances() -> None:
    assert decide(PLAN, standing()).move == Move.ADVANCE


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"now": NOON + DAY - dt.timedelta(seconds=1)}, Obstacle.HOURS),
        ({"smallest_sample": 99}, Obstacle.SAMPLE),
        ({"is_watched": True}, Obstacle.GUARDRAIL),
        ({"will_pause": True, "findings": frozenset({Finding.GUARDRAIL})}, Obstacle.GUARDRAIL),
        ({"findings": frozenset({Finding.SAMPLE_RATIO})}, Obstacle.SAMPLE_RATIO),
        ({"findings": frozenset({Finding.HOLD})}, Obstacle.HOLD),
        ({"has_slot": False}, Obstacle.SLOT),
    ],
)
def test_decide__one_obstacle__waits_for_it(changes: dict[str, Any], obstacle: Obstacle) -> None:
    decision = decide(PLAN, standing(**changes))

    assert decision.move == Move.WAIT
    assert decision.waiting_for == (obstacle,)


def test_decide__guardrail_broken__rolls_back_before_its_hours() -> None:
    decision = decide(PLAN, standing(step=2, now=NOON, findings=frozenset({Finding.GUARDRAIL})))

    assert decision.move == Move.ROLL_BACK
    assert decision.because == (Finding.GUARDRAIL,)


def test_decide__finding_only_warned_of__goes_on_and_says_so() -> None:
    plan = (RampStep(coverage=500, on_sample_ratio=Reaction.WARN), PLAN[1])

    decision = decide(plan, standing(findings=frozenset({Finding.SAMPLE_RATIO})))

    assert (decision.move, decision.because) == (Move.ADVANCE, (Finding.SAMPLE_RATIO,))


def test_decide__last_step_through__finishes() -> None:
    assert decide(PLAN, standing(step=3)).move == Move.FINISH


@given(
    step=st.integers(1, 3),
    hours=st.integers(0, 100),
    sample=st.integers(0, 3000),
    findings=st.frozensets(st.sampled_from(Finding)),
    is_watched=st.booleans(),
    will_pause=st.booleans(),
    reactions=st.tuples(*[st.sampled_from(Reaction)] * 3),
)
def test_decide__anything__advances_only_with_hours_and_sample_and_nothing_against_it(
    step: int,
    hours: int,
    sample: int,
    findings: frozenset[Finding],
    is_watched: bool,
    will_pause: bool,
    reactions: tuple[Reaction, Reaction, Reaction],
) -> None:
    names = ("on_guardrail", "on_sample_ratio", "on_hold")
    plan = tuple(
        RampStep(
            coverage=own.coverage,
            minimum_hours=own.minimum_hours,
            minimum_sample=own.minimum_sample,
            **dict(zip(names, reactions, strict=True)),
        )
        for own in PLAN
    )
    present = plan[step - 1]

    decision = decide(
        plan,
        standing(
            step=step,
            now=NOON + dt.timedelta(hours=hours),
            smallest_sample=sample,
            findings=findings,
            is_watched=is_watched,
            will_pause=will_pause,
        ),
    )

    is_clear = all(present.reaction_to(found) == Reaction.WARN for found in findings) and not will_pause
    if decision.move in (Move.ADVANCE, Move.FINISH):
        assert hours >= present.minimum_hours
        assert sample >= present.minimum_sample
        assert is_clear
        assert (decision.move == Move.FINISH) == (step == len(plan))
    if decision.move == Move.ROLL_BACK:
        assert decision.because
        assert not will_pause
        assert all(present.reaction_to(found) == Reaction.ROLL_BACK for found in decision.because)
    if decision.move == Move.WAIT:
        assert decision.waiting_for


@given(
    weights=st.lists(st.integers(1, 12), min_size=2, max_size=8),
    wanted=st.lists(st.integers(1, 10_000), min_size=1, max_size=6, unique=True),
    units=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=40),
    salt=st.text("0123456789abcdef", min_size=16, max_size=16),
)
def test_ramp__each_step_of_a_sound_plan__adds_units_and_moves_nobody(
    weights: list[int], wanted: list[int], units: list[str], salt: str
) -> None:
    size = coverage_step(weights)
    coverages = sorted({coverage // size * size for coverage in wanted} - {0})
    assume(coverages)
    plan = parse_plan([{"coverage": coverage} for coverage in coverages], weights)

    seen: dict[str, int] = {}
    for step in plan:
        ranges = allocation(weights, step.coverage)
        enrolled = {unit: choose_variant(ranges, bucket(salt, unit)) for unit in units}
        assert all(enrolled[unit] == variant for unit, variant in seen.items())
        seen |= {unit: variant for unit, variant in enrolled.items() if variant is not None}
