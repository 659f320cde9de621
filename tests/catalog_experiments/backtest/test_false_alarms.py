"""False alarms over made-up phases, the suggested threshold, and the control that misses the bound itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog_experiments.backtest.course import Course, Proposal
from catalog_experiments.backtest.false_alarms import Trial, false_alarms, healthy_phases, suggest, wanted_limits
from catalog_experiments.backtest.fit import control_fit
from catalog_experiments.backtest.replay import Limit, would_pause
from catalog_experiments.backtest.resampling import Stretch, rhythm_of
from catalog_experiments.guardrails import GuardrailConfig
from tests.catalog_experiments.backtest.courses import AT_LEAST_TEN_PERCENT, HOUR, MONDAY, rhythmic, weekend

LEAST = Limit("min_acceptance_rate", 0.1)
PAST = rhythmic(42, weekend, per_hour=40)
RATE = sum(accepted for _, accepted in PAST.counts) / sum(n for n, _ in PAST.counts)


def quietly(stage: str, done: int, total: int) -> None:
    """Hear the progress and say nothing."""


@pytest.fixture(scope="module")
def phases() -> list[Course]:
    """Forty healthy phases with the weekly rhythm of the past."""
    return healthy_phases(rhythm_of([PAST]), Trial(resamples=40, phase_days=14, seed=7))


def test_false_alarms__weekends_below_the_bound__stay_rare(phases: list[Course]) -> None:
    alarms = false_alarms(phases, AT_LEAST_TEN_PERCENT, "weeks", quietly)

    assert (alarms.resamples, alarms.phase_days) == (40, 14)
    assert alarms.paused == sum(would_pause(phase, AT_LEAST_TEN_PERCENT) for phase in phases)
    assert alarms.rate <= 0.05
    assert alarms.interval[0] <= alarms.rate <= alarms.interval[1]


def test_false_alarms__persistent_rule__are_as_common_as_it_is_warned(phases: list[Course]) -> None:
    persistent = Proposal(GuardrailConfig(min_acceptance_rate=0.1, pause_rule="persistent"), 250)

    alarms = false_alarms(phases, persistent, "weeks", quietly)

    assert alarms.rate > 0.5


def suggested(phases: list[Course], wanted: float, limit: Limit = LEAST) -> float | None:
    proposal = Proposal(GuardrailConfig(**{limit.bound: limit.threshold}), 250)  # type: ignore[arg-type]  # a rate
    return suggest(phases, proposal, limit, reach=RATE, wanted_rate=wanted, progress=quietly).threshold


def test_suggestion__larger_wanted_rate__never_a_milder_threshold(phases: list[Course]) -> None:
    thresholds = [suggested(phases, wanted) for wanted in (0.0, 0.01, 0.05, 0.2, 0.5)]

    assert None not in thresholds
    assert thresholds == sorted(thresholds)  # type: ignore[type-var]  # none is None
    assert thresholds[0] >= 0.5 * RATE - 1e-4  # type: ignore[operator]  # none is None
    assert thresholds[-1] <= RATE + 1e-4  # type: ignore[operator]  # none is None


def test_suggestion__its_threshold__keeps_the_promise_on_the_same_phases(phases: list[Course]) -> None:
    threshold = suggested(phases, 0.05)

    paused = sum(would_pause(phase, Proposal(GuardrailConfig(min_acceptance_rate=threshold), 250)) for phase in phases)

    assert paused <= 0.05 * len(phases)


def test_suggestion__most_acceptance__mirrors_the_least(phases: list[Course]) -> None:
    thresholds = [suggested(phases, wanted, Limit("max_acceptance_rate", 0.2)) for wanted in (0.0, 0.5)]

    assert thresholds[0] >= thresholds[1] >= RATE - 1e-4  # type: ignore[operator]  # none is None


def test_suggestion__ladder__rises_from_the_mildest_to_what_the_control_reaches(phases: list[Course]) -> None:
    suggestion = suggest(phases, AT_LEAST_TEN_PERCENT, LEAST, reach=RATE, wanted_rate=0.01, progress=quietly)

    rates = [step.rate for step in suggestion.ladder]
    assert rates == sorted(rates)
    assert suggestion.ladder[-1].threshold == round(RATE, 4)


def test_suggestion__nothing_is_mild_enough__is_none(phases: list[Course]) -> None:
    hasty = Proposal(GuardrailConfig(min_acceptance_rate=0.1, pause_rule="persistent", consecutive=1), 0)

    suggestion = suggest(phases, hasty, LEAST, reach=2 * RATE, wanted_rate=0.0, progress=quietly)

    assert (suggestion.threshold, suggestion.rate) == (None, None)


def test_wanted_limits__no_bound_proposed__asks_for_the_least_acceptance() -> None:
    assert [limit.bound for limit in wanted_limits(Proposal(GuardrailConfig()))] == ["min_acceptance_rate"]


def test_healthy_phases__other_seed__other_phases() -> None:
    trial = Trial(resamples=2, phase_days=3)

    assert healthy_phases(rhythm_of([PAST]), trial) != healthy_phases(rhythm_of([PAST]), replace(trial, seed=2))


def test_fit__control_well_inside__is_not_stuck() -> None:
    fit = control_fit([PAST], Limit("min_acceptance_rate", 0.06), 0.05)

    assert not fit.is_stuck
    assert (fit.crossed_at, fit.outside_days, fit.days, fit.hours) == (None, 0, 42, 42 * 24)
    assert fit.fitting_threshold > 0.06


def test_fit__control_outside__is_stuck_since_the_known_hour_and_names_what_fits() -> None:
    past = rhythmic(14, lambda at: 0.05, per_hour=100)
    bad = Limit("min_acceptance_rate", 0.1)

    fit = control_fit([past], bad, 0.05)

    assert fit.is_stuck
    assert fit.crossed_at is not None
    assert fit.crossed_at <= MONDAY + 6 * HOUR
    assert fit.outside_days == fit.days == 14
    assert 0.04 < fit.fitting_threshold < 0.06
    assert not control_fit([past], Limit("min_acceptance_rate", fit.fitting_threshold), 0.05).crossed_at


def test_fit__most_acceptance__is_stuck_when_the_control_takes_more() -> None:
    past = rhythmic(14, lambda at: 0.4, per_hour=100)

    fit = control_fit([past], Limit("max_acceptance_rate", 0.3), 0.05)

    assert fit.is_stuck
    assert 0.39 < fit.fitting_threshold < 0.42


@pytest.mark.parametrize(("orders", "is_stuck"), [(99, False), (100, True)])
def test_fit__a_few_orders_below_the_bound__is_not_called_stuck_yet(orders: int, is_stuck: bool) -> None:
    fit = control_fit([Stretch(MONDAY, ((orders, 9),))], Limit("min_acceptance_rate", 0.1), 0.05)

    assert (fit.crossed_at, fit.is_stuck) == (None, is_stuck)
