"""Deciding on everything at once: exactly what one decision after the other says, from texts made once."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from hypothesis import given
from hypothesis import strategies as st

from storefront import bulk, decisions, document
from storefront.bulk import Lineup
from storefront.decisions import Decision
from storefront.plans import parse
from tests.storefront.conftest import Hold
from tests.storefront.entries import make_document, make_entry, make_variant

ENTRIES: list[dict[str, Any]] = [
    make_entry(slug="plain", salt="a"),
    make_entry(slug="thirds", salt="b", variants=[make_variant("test", 0, 3333), make_variant("control", 3333, 6666)]),
    make_entry(slug="ramp", salt="c", variants=[make_variant("control", 0, 500), make_variant("test", 5000, 5500)]),
    make_entry(slug="for-phones", salt="d", targeting={"device": "phone"}),
    make_entry(slug="for-some-ids", salt="d", targeting={"id": {"$regex": "^[a-m0-4]"}}),
    make_entry(slug="grouped", salt="e", filters=[{"seed": "group", "ranges": [[0, 4000], [9000, 10_000]]}]),
    make_entry(
        slug="held-out", salt="f", filters=[{"seed": "group", "ranges": [[0, 9500]]}, {"seed": "x", "ranges": []}]
    ),
    make_entry(slug="forced", salt="g", forced={"qa-1": "test", "qa-2": "ghost"}),
    make_entry(slug="shadowed", salt="h", shadowed=True),
    make_entry(slug="paused", status="paused"),
    make_entry(slug="done", status="completed"),
    make_entry(slug="shipped", status="completed", shipped_variant="test"),
    make_entry(slug="broken", variants=[make_variant("control", 0, 5000), {"key": "test"}]),
]
UNITS = st.text(max_size=40) | st.sampled_from(["qa-1", "qa-2", "", "\ud800", "ünït-😀"])
CONTEXTS = st.fixed_dictionaries({}, optional={"device": st.sampled_from(["phone", "desk", 5, None]), "id": st.text()})


@given(UNITS, CONTEXTS)
def test_lineup__any_visitor__decides_as_one_by_one(unit_id: str, context: dict[str, Any]) -> None:
    snapshot = parse(make_document(*ENTRIES))

    found = [ready.decision for ready in Lineup(snapshot.plans.values()).decide(unit_id, context)]

    single = [decisions.decide_with(plan, unit_id, context) for plan in snapshot.plans.values()]
    assert found == [one._replace(bucket=None) for one in single]


def test_decide_all__lease_run_out__says_what_decide_says(hold: Hold, settings: LazySettings) -> None:
    hold(*ENTRIES)
    settings.STOREFRONT_STALE_SECONDS = -1

    found = [ready.decision for ready in bulk.decide_all("visitor-1", {})]

    assert found == [decisions.decide("visitor-1", {}, slug=entry["slug"]) for entry in ENTRIES]
    assert {one.reason for one in found} == {"ERROR", "DISABLED", "STATIC"}


def test_decide_all__nothing_ever_read__is_empty() -> None:
    assert bulk.decide_all("visitor-1", {}) == []


def test_decide_all__new_document__is_laid_out_anew(hold: Hold) -> None:
    hold(make_entry())
    before = bulk.decide_all("visitor-1", {})

    hold(make_entry(status="paused"), version=8)
    after = bulk.decide_all("visitor-1", {})

    assert before[0].decision.reason == "SPLIT"
    assert (after[0].decision.reason, after[0].decision.document_version) == ("DISABLED", 8)


def test_lineup__one_experiment_fails__becomes_control_and_spares_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    snapshot = parse(make_document(make_entry(slug="bad", targeting={"device": "phone"}), make_entry(slug="good")))
    object.__setattr__(snapshot.plans["bad"], "targets", lambda attributes: 1 / 0)

    found = [ready.decision for ready in Lineup(snapshot.plans.values()).decide("visitor-1", {})]

    assert [(one.experiment, one.reason) for one in found] == [("bad", "ERROR"), ("good", "SPLIT")]
    assert found[0].variant_key == "control"
    assert "bad" in caplog.text


def test_ready__text__is_rendered_once_per_snapshot(hold: Hold) -> None:
    hold(make_entry())
    asked = []

    def render(decision: Decision) -> bytes:
        asked.append(decision.variant_key)
        return decision.variant_key.encode()

    texts = [bulk.decide_all("visitor-1", {})[0].text(render) for _ in range(3)]

    assert texts == [b"test"] * 3 or texts == [b"control"] * 3
    assert len(asked) == 1


def test_decide_all__fault_in_the_reader__is_empty(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(document.DocumentReader, "current", lambda self: 1 / 0)

    assert bulk.decide_all("visitor-1", {}) == []
    assert "without them" in caplog.text


def test_decide_all__five_hundred_experiments__lays_them_out_once(hold: Hold) -> None:
    hold(*(make_entry(slug=f"e{number}", salt=f"salt{number}") for number in range(500)))
    bulk.decide_all("visitor-1", {})

    lineup = bulk._held
    bulk.decide_all("visitor-2", {})

    assert bulk._held is lineup
