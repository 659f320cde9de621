"""One slot a page: the first published has it, the next waits, and gets a new phase when it comes free."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from catalog_experiments import lifecycle
from catalog_experiments.lifecycle import PreflightFailed
from catalog_experiments.models import (
    ExperimentEvent,
)
from tests.catalog_experiments.acting import (
    ACTOR,
    LATER,
    edit,
    entry_of,
    on_one_page,
    pause,
    phase_of,
    publish,
    variants_of,
)

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
