"""Holdouts and exclusion groups at the slot: the control, in the fixed order, recorded and marked, never enrolled."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from catalog_experiments import publication
from catalog_experiments.assignment import bucket
from catalog_experiments.models import Exposure
from catalog_experiments.units import digest_unit
from storefront import decisions, document
from storefront.decisions import decide
from tests.builders import make_running_experiment
from tests.storefront.conftest import Hold
from tests.storefront.deciding import HIGH, LOW, decided
from tests.storefront.entries import make_entry
from tests.storefront.goods import make_shelf

HELD = {"seed": "seed", "ranges": [[0, 1_000]]}
LEFT = {"seed": "seed", "ranges": [[1_000, 10_000]]}


def test_held_out__is_control_and_marked(hold: Hold) -> None:
    hold(make_entry(filters=[LEFT], holdouts=[HELD]))

    held, free = decided(LOW), decided(HIGH)

    assert (held.variant_key, held.reason, held.is_enrolled, held.is_holdout) == ("control", "STATIC", False, True)
    assert (free.reason, free.is_enrolled, free.is_holdout) == ("SPLIT", True, False)


def test_held_out__but_forced__is_forced(hold: Hold) -> None:
    hold(make_entry(filters=[LEFT], holdouts=[HELD], forced={LOW: "test"}))

    decision = decided(LOW)

    assert (decision.variant_key, decision.reason, decision.is_holdout) == ("test", "TARGETING_MATCH", False)


def test_held_out__outside_group_targeting_and_coverage_too__is_held_out_first(hold: Hold) -> None:
    nobody = {"seed": "group", "ranges": []}
    hold(make_entry(filters=[LEFT, nobody], holdouts=[HELD], targeting={"device": "mobile"}))

    held, outside = decided(LOW), decided(HIGH)

    assert (held.is_holdout, outside.is_holdout) == (True, False)
    assert (outside.variant_key, outside.reason) == ("control", "STATIC")


@pytest.mark.parametrize("changes", [{"shadowed": True}, {"status": "paused"}, {"status": "completed"}])
def test_held_out__of_what_enrols_nobody__is_not_marked(hold: Hold, changes: dict[str, Any]) -> None:
    hold(make_entry(filters=[LEFT], holdouts=[HELD], **changes))

    decision = decide(LOW, {}, slug="cup-saucer")

    assert decision is not None
    assert not decision.is_holdout


def test_plan__of_an_entry_with_holdouts__keeps_every_filter_and_the_group_apart(hold: Hold) -> None:
    group = {"seed": "group", "ranges": [[0, 4_000]]}

    plan = hold(make_entry(filters=[LEFT, group], holdouts=[HELD])).plans["cup-saucer"]

    assert [item.seed for item in plan.filters] == ["seed", "group"]
    assert [item.seed for item in plan.gates] == ["group"]
    assert [item.ranges for item in plan.holdouts] == [((0, 1_000),)]


def test_bots__are_not_held_out(hold: Hold) -> None:
    hold(make_entry(holdouts=[{"seed": "seed", "ranges": [[0, 10_000]]}]))

    decision = decisions.control_of_slot("cup")

    assert decision is not None
    assert not decision.is_holdout


@pytest.mark.django_db
def test_page__of_a_held_out_visitor__records_the_slot_marked_and_sells_outside_the_experiment(
    publish: Callable[[dt.datetime], int],
) -> None:
    make_shelf()
    now = dt.datetime.now(dt.UTC)
    make_running_experiment(now=now - dt.timedelta(hours=1))
    holdout = publication.set_holdout(3_000, actor="user:mara", now=now - dt.timedelta(minutes=30))
    document.reader().refresh()
    names = (f"visitor-number-{number:06}" for number in itertools.count())
    unit = next(name for name in names if bucket(holdout.salt, name) < 3_000)
    browser = Client(headers={"user-agent": "Mozilla/5.0 (X11) Firefox/140.0"})
    browser.cookies["visitor"] = unit

    browser.get("/products/cup")

    row = Exposure.objects.get()
    assert (row.unit, row.variant_key, row.is_holdout, row.is_fault) == (digest_unit(unit), "control", True, False)
