"""Guardrails through the whole product, hour by simulated hour, beside the pure functions on the same data."""

from __future__ import annotations

import pytest

from catalog_experiments.models import ExperimentStatus, GuardrailEvaluation
from notifications.models import Alert
from tests.benchmarks.guardrails.system import Differs, Stall, open_stalls, play
from tests.benchmarks.guardrails.worlds import World, constant, falling

pytestmark = pytest.mark.django_db

SMALL = {
    "healthy": World(constant(0.15), (constant(0.12),), per_tick=1, days=2),
    "harmful": World(constant(0.15), (constant(0.03),), per_tick=1, days=2),
    "sudden": World(constant(0.15), (falling(0.15, 0.0, 24),), per_tick=1, days=2),
    "dip for both": World(falling(0.15, 0.02, 12), (falling(0.15, 0.02, 12),), per_tick=1, days=2),
}


def test_whole_system__two_days_of_four_shops__same_verdicts_and_pauses_as_the_pure_functions() -> None:
    stalls = open_stalls(SMALL, each=1)

    compared = play(stalls, days=2)

    assert compared.looks == 48
    assert set(compared.paused) == {"harmful", "sudden"}
    assert compared.records == GuardrailEvaluation.objects.count()
    healthy, *_, dipping = stalls
    assert {healthy.experiment.status, dipping.experiment.status} == {ExperimentStatus.RUNNING}
    assert sorted(Alert.objects.values_list("kind", flat=True)) == [
        "guardrail_bound_unfit", "guardrail_breached", "guardrail_control_breached", "guardrail_outage"
    ]  # fmt: skip


def test_whole_system__another_history_than_was_reported__differs() -> None:
    [stall] = open_stalls({"healthy": SMALL["healthy"]}, each=1)
    other = Stall(stall.world, stall.history, stall.experiment)
    events = other.events

    def one_order_lost(ticks: range) -> object:
        exposures, orders = events(ticks)
        return exposures, orders[:-1]

    other.events = one_order_lost  # type: ignore[method-assign,assignment]  # a shop that loses orders

    with pytest.raises(Differs, match="the pure functions"):
        play([other], days=1)
