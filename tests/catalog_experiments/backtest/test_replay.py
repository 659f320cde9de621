"""Replays: the same pause at the same look as the guardrails' own judgement, hour by hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_experiments.backtest.course import Course, Proposal, VariantCourse, hourly_counts
from catalog_experiments.backtest.replay import Limit, crossed_at, first_pause, may_pause, would_pause
from catalog_experiments.guardrails import GuardrailConfig, HourTally, VariantVerdict, Verdict, judge
from catalog_experiments.stats.blocks import block_series
from catalog_experiments.stats.moments import VariantMoments
from tests.catalog_experiments.backtest.courses import AT_LEAST_TEN_PERCENT, HOUR, MONDAY, course

GOOD, BAD, DEAD = (100, 15), (100, 5), (100, 0)


def judged_hour_by_hour(phase: Course, proposal: Proposal) -> tuple[int, tuple[VariantVerdict, ...]] | None:
    """Return what a tick an hour would have found first, judged as the real tick judges."""
    for look in range(phase.looks):
        verdicts = judge(phase.frame_at(look, proposal, 5000), phase.observations_at(look))
        if stopped := tuple(verdict for verdict in verdicts if verdict.would_pause):
            return look, stopped
    return None


counts = st.integers(0, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, min(n, 5))))


@st.composite
def phases(draw: st.DrawFn) -> Course:
    hours = draw(st.integers(1, 60))
    keys = draw(st.sampled_from([("control", "a"), ("control", "a", "b"), ("a",)]))
    minutes = draw(st.sampled_from([0, 30]))
    phase = course(
        *((key, draw(st.lists(counts, min_size=hours, max_size=hours))) for key in keys),
        opened_at=MONDAY + timedelta(minutes=minutes),
        minutes_lost=draw(st.sampled_from([0, 20])),
    )
    if draw(st.booleans()) or phase.control is None:
        return phase
    silent = VariantCourse("control", phase.control.counts, is_control=True, has_bundle=False)
    return Course(phase.opened_at, phase.ended_at, (silent, *phase.tests))


proposals = st.builds(
    lambda least, most, rule, minimum: Proposal(
        GuardrailConfig(min_acceptance_rate=least, max_acceptance_rate=most, pause_rule=rule, consecutive=2), minimum
    ),
    st.sampled_from([None, 0.05, 0.1, 0.2]),
    st.sampled_from([None, 0.08, 0.3]),
    st.sampled_from(["evidence", "evidence", "persistent"]),
    st.sampled_from([0, 100]),
)


@settings(max_examples=60, deadline=None)
@given(phase=phases(), proposal=proposals)
def test_first_pause__any_phase__is_that_of_the_guardrails_themselves(phase: Course, proposal: Proposal) -> None:
    expected = judged_hour_by_hour(phase, proposal)

    pause = first_pause(phase, proposal)

    assert (pause and (pause.look, pause.verdicts)) == expected
    assert would_pause(phase, proposal) is (expected is not None)
    assert expected is None or may_pause(phase, proposal)


@settings(max_examples=30, deadline=None)
@given(phase=phases())
def test_series_at__any_look__equals_the_blocks_of_the_tallies(phase: Course) -> None:
    for look in range(phase.looks):
        clock = phase.frame_at(look, AT_LEAST_TEN_PERCENT, 5000).clock
        for variant, observation in zip(phase.variants, phase.observations_at(look), strict=True):
            assert phase.series_at(variant, look) == block_series(clock, observation.tallies)


def test_first_pause__rate_halves_after_two_days__comes_at_the_known_hour() -> None:
    phase = course(("control", [GOOD] * 72), ("test", [GOOD] * 48 + [BAD] * 24))

    pause = first_pause(phase, AT_LEAST_TEN_PERCENT)

    assert pause is not None
    assert (pause.look, pause.at) == (52, MONDAY + 53 * HOUR)
    [verdict] = pause.verdicts
    assert (verdict.variant_key, verdict.verdict) == ("test", Verdict.BREACHED)
    assert (verdict.sample, verdict.accepted) == (5300, 48 * 15 + 5 * 5)


def test_first_pause__nothing_accepted__is_an_outage_within_two_hours_at_any_sample() -> None:
    phase = course(("control", [GOOD] * 5), ("test", [DEAD] * 5))

    pause = first_pause(phase, AT_LEAST_TEN_PERCENT)

    assert pause is not None
    assert (pause.look, pause.verdicts[0].verdict) == (0, Verdict.OUTAGE)


@pytest.mark.parametrize("control", [[BAD] * 24, [(0, 0)] * 24])
def test_first_pause__control_outside_or_silent__never(control: list[tuple[int, int]]) -> None:
    phase = course(("control", control), ("test", [BAD] * 24))

    assert first_pause(phase, AT_LEAST_TEN_PERCENT) is None
    assert may_pause(phase, AT_LEAST_TEN_PERCENT)


def test_first_pause__drop_against_control__comes_with_the_mature_day() -> None:
    harm = {
        key: tuple((MONDAY.date() + timedelta(days=day), VariantMoments(500, total, total)) for day in range(4))
        for key, total in (("control", 200), ("test", 60))
    }
    variants = tuple(
        VariantCourse(key, (GOOD,) * 120, is_control=key == "control", harm=days) for key, days in harm.items()
    )
    phase = Course(MONDAY, MONDAY + 120 * HOUR, variants)
    proposal = Proposal(GuardrailConfig(max_drop_vs_control=0.2), minimum_sample=250)

    pause = first_pause(phase, proposal)

    assert pause is not None
    assert pause.at == MONDAY + 49 * HOUR
    assert pause.verdicts == judged_hour_by_hour(phase, proposal)[1]  # type: ignore[index]  # it is not None


def test_crossed_at__control_alone__knows_no_control_rule() -> None:
    phase = course(("control", [BAD] * 24))
    limit = Limit("min_acceptance_rate", 0.1)

    assert crossed_at(phase, phase.variants[0], limit, 0.05) == 2
    assert crossed_at(phase, phase.variants[0], Limit("min_acceptance_rate", 0.04), 0.05) is None


def test_hourly_counts__stray_hours__count_in_the_first_and_the_last() -> None:
    tallies = [HourTally(MONDAY + hour * HOUR, 10, 1) for hour in (-2, 0, 1, 5)]

    laid_out = hourly_counts(tallies, MONDAY + timedelta(minutes=30), MONDAY + timedelta(hours=2, minutes=10))

    assert laid_out == ((20, 2), (10, 1), (10, 1))


def test_alpha__two_bounds_on_two_variants__is_split_as_the_guardrails_do() -> None:
    config: dict[str, Any] = {"min_acceptance_rate": 0.1, "max_acceptance_rate": 0.5}
    phase = course(("control", [GOOD] * 8), ("a", [BAD] * 8), ("b", [GOOD] * 8))

    alone = first_pause(phase, Proposal(GuardrailConfig(min_acceptance_rate=0.1), 0))
    both = first_pause(phase, Proposal(GuardrailConfig(**config), 0))

    assert alone is not None
    assert both is not None
    assert [pause.verdicts[0].evidence[0].pause_line for pause in (alone, both)] == [40, 80]
