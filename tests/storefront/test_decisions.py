"""Who gets which variant, in the fixed order, and control whatever goes wrong."""

from __future__ import annotations

import socket
from collections import Counter

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog_experiments.assignment import bucket
from storefront import decisions, document
from storefront.decisions import decide
from storefront.plans import parse
from tests.storefront.conftest import Hold
from tests.storefront.deciding import HIGH, LOW, decided
from tests.storefront.entries import make_document, make_entry, make_variant


def test_decide__enrolled__is_the_variant_of_its_bucket(hold: Hold) -> None:
    halves = [make_variant("control", 0, 2_000, bundle=None), make_variant("test", 2_000, 10_000)]
    hold(make_entry(variants=halves, phase=3))

    low, high = decided(LOW), decided(HIGH)

    assert (low.variant_key, low.bucket, low.bundle) == ("control", 505, None)
    assert (high.variant_key, high.bucket) == ("test", 2696)
    assert high.bundle is not None
    assert high.bundle["slug"] == "cup-and-saucer"
    assert (high.reason, high.is_enrolled, high.phase, high.document_version) == ("SPLIT", True, 3, 7)


def test_decide__many_units__follow_the_weights(hold: Hold) -> None:
    hold(make_entry())

    counts = Counter(decided(f"unit-{number}").variant_key for number in range(4_000))

    assert 1_900 < counts["test"] < 2_100


def test_decide__outside_coverage__is_control_and_static(hold: Hold) -> None:
    tenth = [make_variant("control", 0, 500), make_variant("test", 5_000, 5_500)]
    hold(make_entry(variants=tenth))

    decision = decided(HIGH)

    assert (decision.variant_key, decision.reason, decision.is_enrolled) == ("control", "STATIC", False)
    assert decision.bucket == 2696


def test_decide__forced_unit__beats_everything_and_is_not_enrolled(hold: Hold) -> None:
    nobody = {"seed": "group", "ranges": []}
    hold(make_entry(forced={LOW: "test"}, filters=[nobody], targeting={"device": "mobile"}))

    decision = decided(LOW)

    assert (decision.variant_key, decision.reason, decision.is_enrolled) == ("test", "TARGETING_MATCH", False)


def test_decide__forced_to_an_unknown_variant__is_decided_as_usual(hold: Hold) -> None:
    hold(make_entry(forced={LOW: "gone"}))

    assert decided(LOW).reason == "SPLIT"


@pytest.mark.parametrize(("ranges", "reason"), [([[0, 10_000]], "SPLIT"), ([], "STATIC")])
def test_decide__exclusion_filter__lets_only_its_ranges_in(hold: Hold, ranges: list[list[int]], reason: str) -> None:
    hold(make_entry(filters=[{"seed": "group", "ranges": ranges}]))

    assert decided(LOW).reason == reason


def test_decide__filter__has_a_hash_of_its_own(hold: Hold) -> None:
    own = bucket("group", LOW)
    hold(make_entry(filters=[{"seed": "group", "ranges": [[own, own + 1]]}]))

    assert own != bucket("seed", LOW)
    assert decided(LOW).reason == "SPLIT"


@pytest.mark.parametrize(("device", "reason"), [("mobile", "SPLIT"), ("desktop", "STATIC")])
def test_decide__targeting__asks_the_context(hold: Hold, device: str, reason: str) -> None:
    hold(make_entry(targeting={"device": "mobile"}))

    assert decided(LOW, {"device": device}).reason == reason


def test_decide__broken_targeting__enrols_nobody(hold: Hold) -> None:
    hold(make_entry(targeting={"device": {"$unknown": 1}}))

    assert (decided(LOW).variant_key, decided(LOW).is_enrolled) == ("control", False)


def test_decide__shadowed__serves_control_by_slug(hold: Hold) -> None:
    hold(make_entry(shadowed=True))

    decision = decide(HIGH, {}, slug="cup-saucer")

    assert decision is not None
    assert (decision.variant_key, decision.reason) == ("control", "STATIC")


def test_decide__paused__is_control_and_disabled(hold: Hold) -> None:
    hold(make_entry(status="paused"))

    units = [decided(f"unit-{number}") for number in range(50)]

    assert {(unit.variant_key, unit.reason, unit.is_enrolled) for unit in units} == {("control", "DISABLED", False)}


def test_decide__completed__ships_the_winner_or_control(hold: Hold) -> None:
    hold(
        make_entry(slug="won", status="completed", shipped_variant="test"), make_entry(slug="lost", status="completed")
    )

    won, lost = decide(LOW, {}, slug="won"), decide(LOW, {}, slug="lost")

    assert won is not None
    assert lost is not None
    assert (won.variant_key, won.reason) == ("test", "STATIC")
    assert (lost.variant_key, lost.reason) == ("control", "STATIC")


def test_decide__unknown_experiment_or_page__is_none(hold: Hold) -> None:
    hold(make_entry())

    assert decide(LOW, {}, slug="nothing") is None
    assert decide(LOW, {}, product_slug="plate") is None


def test_decide__broken_entry__is_control_with_error(hold: Hold) -> None:
    hold(make_entry(phase="one"))

    decision = decide(HIGH, {}, slug="cup-saucer")

    assert decision is not None
    assert (decision.variant_key, decision.reason, decision.is_enrolled) == ("control", "ERROR", False)


def test_decide__stale_document__is_control_with_error(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(make_entry())
    monkeypatch.setattr(document.reader(), "_confirmed_at", float("-inf"))

    decision = decided(HIGH)

    assert (decision.experiment, decision.variant_key, decision.reason) == ("cup-saucer", "control", "ERROR")
    assert not decision.is_enrolled


def test_decide__no_document_ever__knows_nothing_and_says_error() -> None:
    decision = decided(HIGH)

    assert (decision.experiment, decision.bundle, decision.reason, decision.is_enrolled) == ("", None, "ERROR", False)


@pytest.mark.parametrize("trouble", [ValueError("x"), RuntimeError("x"), MemoryError()])
def test_decide__anything_raises_inside__is_control(
    hold: Hold, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    hold(make_entry())

    def fail(*arguments: object) -> int:
        raise trouble

    monkeypatch.setattr(decisions, "bucket", fail)

    decision = decided(HIGH)

    assert (decision.variant_key, decision.reason, decision.is_enrolled) == ("control", "ERROR", False)


@pytest.mark.django_db
def test_decide__warm__asks_the_database_nothing(hold: Hold, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    hold(make_entry(), make_entry(slug="other", anchor_product_slug="teapot", targeting={"device": "mobile"}))

    with django_assert_num_queries(0):
        for number in range(100):
            decide(f"unit-{number}", {"device": "mobile"}, product_slug="teapot")


def test_force__known_variant__is_shown_but_never_enrolled(hold: Hold) -> None:
    plan = hold(make_entry()).plans["cup-saucer"]

    forced, unknown = decisions.force(plan, "test"), decisions.force(plan, "gone")

    assert forced is not None
    assert (forced.variant_key, forced.reason, forced.is_enrolled) == ("test", "TARGETING_MATCH", False)
    assert unknown is None


def test_control_of_slot__bot__is_control_and_not_enrolled(hold: Hold) -> None:
    hold(make_entry())

    decision = decisions.control_of_slot("cup")

    assert decision is not None
    assert (decision.variant_key, decision.is_enrolled) == ("control", False)
    assert decisions.control_of_slot("plate") is None


def test_snapshot__raised_coverage__moves_nobody(hold: Hold) -> None:
    narrow = parse(
        make_document(make_entry(variants=[make_variant("control", 0, 500), make_variant("test", 5_000, 5_500)]))
    )
    wide = parse(make_document(make_entry()))
    units = [f"unit-{number}" for number in range(2_000)]

    before = {unit: decisions.decide_with(narrow.plans["cup-saucer"], unit, {}) for unit in units}
    after = {unit: decisions.decide_with(wide.plans["cup-saucer"], unit, {}) for unit in units}

    enrolled = [unit for unit in units if before[unit].is_enrolled]
    assert len(enrolled) > 100
    assert all(after[unit].variant_key == before[unit].variant_key for unit in enrolled)


def test_decide__with_every_socket_blocked__decides_all_the_same(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    half = {"seed": "group", "ranges": [[0, 5_000]]}
    hold(make_entry(filters=[half], targeting={"device": "mobile"}))
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    monkeypatch.setattr(socket.socket, "send", _refuse)

    decisions_made = Counter(decided(f"unit-{number}", {"device": "mobile"}).reason for number in range(2_000))

    assert set(decisions_made) == {"SPLIT", "STATIC"}
    assert abs(decisions_made["SPLIT"] - 1_000) < 4 * 22.4


def _refuse(*_: object) -> None:
    raise AssertionError("a decision reached for the network")
