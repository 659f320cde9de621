"""One slot a page: the first published has it, the next waits, and gets a new phase when it comes free."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from catalog_experiments import lifecycle
from catalog_experiments.aggregation import aggregate_experiments
from catalog_experiments.backtest.past import past_of_experiment
from catalog_experiments.bundles import BundleChanges, update_bundle
from catalog_experiments.intake import ExposureEvent, record_exposures, served_spans
from catalog_experiments.lifecycle import PreflightFailed
from catalog_experiments.models import Experiment, ExperimentEvent, GuardrailTally, Order, Phase
from tests.catalog_experiments.acting import (
    ACTOR,
    LATER,
    edit,
    entry_of,
    on_one_page,
    pause,
    phase_of,
    publish,
    stored,
    variants_of,
)
from tests.catalog_experiments.buyers import add_buyers
from tests.catalog_experiments.intake.test_exposures import unit_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_second_on_a_page__waits_serves_control_and_counts_nobody() -> None:
    first, second = publish(on_one_page("first")), publish(on_one_page("second"), now=LATER)

    assert (entry_of("first")["shadowed"], entry_of("second")["shadowed"]) == (False, True)
    assert (first.status, second.status) == ("running", "running")


def test_slot__coming_free__goes_to_the_one_that_waits_in_a_new_phase() -> None:
    first, second = publish(on_one_page("first")), publish(on_one_page("second"), now=LATER)
    former = phase_of(second)

    pause(first, now=LATER + dt.timedelta(hours=1))

    assert entry_of("second")["shadowed"] is False
    assert (phase_of(second).number, former.number) == (2, 1)
    assert entry_of("second")["salt"] == phase_of(second).salt
    assert ExperimentEvent.objects.get(action="slot").actor == "system:slots"


def test_slot__taken_during_a_pause__makes_the_resumed_one_wait() -> None:
    first, second = publish(on_one_page("first")), publish(on_one_page("second"), now=LATER)
    pause(first)

    lifecycle.resume(first.pk, actor=ACTOR, now=LATER + dt.timedelta(hours=1))

    assert (entry_of("first")["shadowed"], entry_of("second")["shadowed"]) == (True, False)
    assert second.status == "running"


def test_slot__freed_twice__is_released_once() -> None:
    first = publish(on_one_page("first"))
    publish(on_one_page("second"), now=LATER)
    pause(first)

    released = lifecycle.release_slots(now=LATER)

    assert released == 0
    assert ExperimentEvent.objects.filter(action="slot").count() == 1


def test_republish__of_the_holder__keeps_the_slot() -> None:
    first = publish(on_one_page("first"))
    publish(on_one_page("second"), now=LATER)
    edit(first, variants=variants_of(first, weight=10))

    publish(first, now=LATER + dt.timedelta(hours=1))

    assert (entry_of("first")["shadowed"], entry_of("second")["shadowed"]) == (False, True)


def test_overlap__where_the_shop_blocks_it__fails_preflight(settings: Any) -> None:
    settings.EXPERIMENT_OVERLAP = "block"
    publish(on_one_page("first"))

    with pytest.raises(PreflightFailed, match="first runs on the same product page"):
        publish(on_one_page("second"))


def test_open_new_phase__by_a_person__starts_counting_again() -> None:
    running = publish(on_one_page("first"))

    lifecycle.open_new_phase(running.pk, actor=ACTOR, now=LATER, reason="sample ratio was off")

    assert phase_of(running).number == 2
    assert entry_of("first")["phase"] == 2


HOUR = dt.timedelta(hours=1)


def claimed(phase: Phase, exposed_at: dt.datetime, *, now: dt.datetime) -> list[str]:
    """Return what becomes of a visitor's true exposure in the phase, with and without its number."""
    unit_id = unit_in(phase, "test")
    told = [
        ExposureEvent(phase.experiment.slug, unit_id, "test", exposed_at, phase=number)
        for number in (phase.number, None)
    ]
    return [result.code or result.outcome for result in record_exposures(told, now=now)]


def test_exposures__while_it_waits__are_refused_then_and_after_the_slot_came_free() -> None:
    first, second = publish(on_one_page("first")), publish(on_one_page("second"), now=LATER)
    shadowed = phase_of(second)

    waiting = claimed(shadowed, LATER + HOUR, now=LATER + HOUR)
    pause(first, now=LATER + 2 * HOUR)
    late = claimed(shadowed, LATER + HOUR, now=LATER + 3 * HOUR)
    served = claimed(phase_of(second), LATER + 3 * HOUR, now=LATER + 3 * HOUR)

    assert (waiting, late) == (["not_running"] * 2, ["not_running"] * 2)
    assert served == ["accepted", "duplicate"]


def test_exposures__of_before_a_pause_after_which_it_waits__are_taken() -> None:
    first = publish(on_one_page("first"))
    publish(on_one_page("second"), now=LATER)
    pause(first, now=LATER + 2 * HOUR)
    lifecycle.resume(first.pk, actor=ACTOR, now=LATER + 3 * HOUR)

    before, waiting = (claimed(phase_of(first), LATER + n * HOUR, now=LATER + 5 * HOUR) for n in (1, 4))

    assert (before, waiting) == (["accepted", "duplicate"], ["not_running"] * 2)


def test_resume__into_the_queue__leaves_one_gap_from_the_pause_on() -> None:
    first = publish(on_one_page("first"))
    publish(on_one_page("second"), now=LATER)
    pause(first, now=LATER + HOUR)

    lifecycle.resume(first.pk, actor=ACTOR, now=LATER + 2 * HOUR)

    assert phase_of(first).unserved_spans == [[(LATER + HOUR).isoformat(), None]]


def test_orders__placed_while_it_waits__are_beyond_the_window_of_who_came_before() -> None:
    first = publish(on_one_page("first"))
    publish(on_one_page("second"), now=LATER)
    add_buyers(stored(first), "test", 3, 1, at=LATER + HOUR)
    later = add_buyers(stored(first), "test", 2, 2, at=LATER + HOUR)
    Order.objects.filter(pk__in=[order.pk for order in later]).update(placed_at=LATER + 4 * HOUR)
    pause(first, now=LATER + 2 * HOUR)
    lifecycle.resume(first.pk, actor=ACTOR, now=LATER + 3 * HOUR)

    aggregate_experiments([first.pk], now=LATER + 5 * HOUR)

    assert [(tally.n, tally.accepted) for tally in GuardrailTally.objects.filter(experiment=first)] == [(3, 1)]


def test_phase_that_only_waited__has_no_served_time_and_counts_nobody() -> None:
    first, second = publish(on_one_page("first")), publish(on_one_page("second"), now=LATER)
    shadowed = phase_of(second)
    pause(first, now=LATER + HOUR)
    shadowed.refresh_from_db()

    aggregate_experiments([second.pk], now=LATER + 2 * HOUR)
    past = past_of_experiment(second, since=LATER - HOUR, now=LATER + 2 * HOUR)

    assert served_spans(shadowed) == ()
    assert [(each.phase_number, each.orders) for each in past.histories if each.slug == "second"] == [(1, 0), (2, 0)]


def test_migration__of_one_that_waits_already__notes_its_wait_once() -> None:
    publish(on_one_page("first"))
    second = publish(on_one_page("second"), now=LATER)
    Phase.objects.update(unserved_spans=[])
    note = import_module("catalog_experiments.migrations.0025_waiting_is_not_served").NOTE_WAITING

    with connection.cursor() as cursor:
        cursor.execute(note)
        cursor.execute(note)

    noted = dict(Phase.objects.values_list("experiment__slug", "unserved_spans"))
    assert noted == {"first": [], "second": [[LATER.isoformat(), None]]}
    assert served_spans(phase_of(second)) == ()


def change_bundle(_: Experiment) -> object:
    return update_bundle("second-test", BundleChanges(title="Other"), actor=ACTOR, now=LATER + HOUR)


def start_anew(experiment: Experiment) -> object:
    return lifecycle.open_new_phase(experiment.pk, actor=ACTOR, now=LATER + HOUR, reason="again")


def edit_thresholds(experiment: Experiment) -> object:
    edit(experiment, guardrail_config={"min_acceptance_rate": 0.2})
    return publish(experiment, now=LATER + HOUR)


def edit_weights(experiment: Experiment) -> object:
    edit(experiment, variants=variants_of(experiment, weight=10))
    return publish(experiment, now=LATER + HOUR)


@pytest.mark.parametrize("change", [change_bundle, start_anew, edit_thresholds, edit_weights])
def test_change__while_it_waits__goes_on_waiting(change: Callable[[Experiment], object]) -> None:
    publish(on_one_page("first"))
    second = publish(on_one_page("second"), now=LATER)

    change(second)

    assert (served_spans(phase_of(second)), entry_of("second")["shadowed"]) == ((), True)
