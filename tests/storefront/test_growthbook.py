"""The payload for GrowthBook's SDKs: what each state of an experiment becomes, and what never leaves."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from catalog_experiments.assignment import allocation
from storefront import document, growthbook
from tests.storefront.conftest import Hold
from tests.storefront.entries import make_entry, make_variant

SLUG = "cup-saucer"
NOTHING: dict[str, Any] = {"bundle": None, "payload": {}}
OFFER = {"bundle": "cup-and-saucer", "payload": {"copy": "Fired together"}}


def offered(**overrides: Any) -> dict[str, Any]:
    """Make an entry whose test variant has an offer and a copy."""
    test = make_variant("test", 5_000, 10_000, payload={"copy": "Fired together"})
    return make_entry(**{"variants": [make_variant("control", 0, 5_000, bundle=None), test]} | overrides)


def payload() -> dict[str, Any]:
    answer = growthbook.features()
    assert answer.status == 200
    read: dict[str, Any] = json.loads(answer.body)
    return read


def feature(slug: str = SLUG) -> dict[str, Any]:
    found: dict[str, Any] = payload()["features"][slug]
    return found


def test_features__running__is_one_experiment_with_explicit_ranges(hold: Hold) -> None:
    hold(offered(phase=3))

    found = feature()

    assert found == {
        "defaultValue": NOTHING,
        "rules": [
            {
                "id": "cup-saucer-3",
                "key": SLUG,
                "name": SLUG,
                "phase": "3",
                "seed": "seed",
                "hashAttribute": "id",
                "hashVersion": 2,
                "variations": [NOTHING, OFFER],
                "weights": [0.5, 0.5],
                "coverage": 1.0,
                "ranges": [[0.0, 0.5], [0.5, 1.0]],
                "meta": [{"key": "control", "name": "control"}, {"key": "test", "name": "test"}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("weights", "coverage", "shares", "covered"),
    [
        ([1, 1], 2_000, [0.5, 0.5], 0.2),
        ([2, 3, 5], 1_000, [0.2, 0.3, 0.5], 0.1),
        ([1, 1, 1], 10_000, [1 / 3, 1 / 3, 1 / 3], 0.9999),
        ([1, 1], 0, [0.5, 0.5], 0.0),
    ],
)
def test_features__any_split__weights_and_coverage_say_what_the_ranges_say(
    hold: Hold, weights: list[int], coverage: int, shares: list[float], covered: float
) -> None:
    ranges = allocation(weights, coverage)
    keys = ["control", "test", "other"]
    hold(make_entry(variants=[make_variant(key, *place) for key, place in zip(keys, ranges, strict=False)]))

    (rule,) = feature()["rules"]

    assert rule["weights"] == pytest.approx(shares)
    assert rule["coverage"] == covered
    assert rule["ranges"] == [[start / 10_000, end / 10_000] for start, end in ranges]


def test_features__targeted_and_filtered__says_both(hold: Hold) -> None:
    condition = {"device": "mobile", "$not": {"country": {"$in": ["US"]}}}
    hold(make_entry(targeting=condition, filters=[{"seed": "group", "ranges": [[0, 2_500], [5_000, 7_500]]}]))

    (rule,) = feature()["rules"]

    assert rule["condition"] == condition
    assert rule["filters"] == [
        {"seed": "group", "ranges": [[0.0, 0.25], [0.5, 0.75]], "attribute": "id", "hashVersion": 2}
    ]


def test_features__forced_units__come_first_and_are_no_experiment(hold: Hold) -> None:
    hold(offered(forced={"zoe": "test", "adam": "test", "eve": "control", "joe": "gone"}))

    eve, adam_and_zoe, experiment = feature()["rules"]

    assert eve == {"id": "forced-control", "condition": {"id": {"$in": ["eve"]}}, "force": NOTHING}
    assert adam_and_zoe == {"id": "forced-test", "condition": {"id": {"$in": ["adam", "zoe"]}}, "force": OFFER}
    assert experiment["key"] == SLUG


def test_features__shadowed__keeps_the_forced_alone(hold: Hold) -> None:
    hold(offered(shadowed=True, forced={"zoe": "test"}))

    assert [rule["id"] for rule in feature()["rules"]] == ["forced-test"]


RESTING = {
    "paused": ({"status": "paused", "forced": {"zoe": "test"}}, []),
    "completed": ({"status": "completed", "forced": {"zoe": "test"}}, []),
    "shipped": ({"status": "completed", "shipped_variant": "test"}, [{"id": "shipped-test", "force": OFFER}]),
    "unreadable": ({"phase": "many"}, []),
    "beyond our conditions": ({"targeting": {"tags": {"$size": 2}}}, []),
}


@pytest.mark.parametrize(("overrides", "rules"), RESTING.values(), ids=RESTING)
def test_features__no_experiment_to_run__is_control_and_at_most_what_ships(
    hold: Hold, overrides: dict[str, Any], rules: list[Any]
) -> None:
    hold(offered(**overrides))

    assert feature() == {"defaultValue": NOTHING, "rules": rules}


def test_features__several__never_spoil_each_other(hold: Hold) -> None:
    hold(offered(), make_entry(slug="broken", phase="many"), offered(slug="third"))

    found = payload()

    assert list(found["features"]) == [SLUG, "broken", "third"]
    assert (found["status"], found["experiments"], found["dateUpdated"]) == (200, [], "2026-03-02T12:00:00+00:00")


def test_features__nothing_published__is_empty_but_answers(hold: Hold) -> None:
    hold()

    assert payload()["features"] == {}


def test_features__headers__let_caches_keep_it_briefly(hold: Hold) -> None:
    hold(offered())

    headers = growthbook.features().headers

    assert headers["Cache-Control"] == "public, max-age=30, stale-while-revalidate=60, stale-if-error=600"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert re.fullmatch(r'"[0-9a-f]{32}"', headers["ETag"])
    assert not any("sse" in name.lower() for name in headers)


def test_features__etag__stays_while_only_the_lease_moves(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(offered())
    first = growthbook.features()
    monkeypatch.setattr(document.reader(), "_confirmed_at", time.monotonic() - 60)

    second = growthbook.features()
    hold(offered(phase=2))
    third = growthbook.features()

    assert first.headers["ETag"] == second.headers["ETag"] != third.headers["ETag"]
    assert json.loads(first.body)["not_after"] > json.loads(second.body)["not_after"]


def test_features__lease_over__is_control_for_what_runs(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(offered(forced={"zoe": "test"}), offered(slug="won", status="completed", shipped_variant="test"))
    fresh = growthbook.features()
    monkeypatch.setattr(document.reader(), "_confirmed_at", time.monotonic() - 601)

    stale = growthbook.features()

    assert [len(each["rules"]) for each in json.loads(stale.body)["features"].values()] == [0, 1]
    assert fresh.headers["ETag"] != stale.headers["ETag"]


def test_features__no_document_ever__is_an_error_that_nobody_caches() -> None:
    answer = growthbook.features()

    assert answer.status == 503
    assert answer.headers["Cache-Control"] == "no-store"
    assert "features" not in json.loads(answer.body)


def test_features__public_key__learns_nothing_internal(hold: Hold) -> None:
    hold(offered(hypothesis="secret", owner="secret", guardrail_config={"min": "secret"}, metrics=["secret"]))

    assert b"secret" not in growthbook.features().body
