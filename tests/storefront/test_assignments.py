"""The native protocol: GET reads and never enrols, POST decides and records, each answer says what and why."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client

from catalog_experiments import intake, publication
from catalog_experiments.assignment import bucket
from catalog_experiments.models import Experiment, Exposure
from storefront import decisions, document
from tests.builders import make_running_experiment
from tests.storefront.conftest import Hold
from tests.storefront.entries import BUNDLE, make_entry, make_variant

ADDRESS = "/api/v1/catalog/assignments"
KEY = {"X-API-Key": "test-server-key"}
WHOLE = [make_variant("control", 0, 0, bundle=None), make_variant("test", 0, 10_000, payload={"headline": "Hi"})]


def get(query: Any) -> Any:
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    return Client().get(f"{ADDRESS}?{text}", headers=KEY)


def post(body: Any, content_type: str = "application/json") -> Any:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Client().generic("POST", ADDRESS, content, content_type=content_type, headers=KEY)


def json_of(response: Any) -> Any:
    return orjson.loads(response.content)


def test_get__running__says_what_to_show_and_why(hold: Hold) -> None:
    hold(make_entry(variants=WHOLE, phase=3))

    answer = json_of(get({"unit_id": "visitor-1"}))

    assert answer.pop("not_after")
    assert answer == {
        "assignments": [
            {
                "experiment": "cup-saucer",
                "product_slug": "cup",
                "variant_key": "test",
                "is_enrolled": True,
                "is_holdout": False,
                "reason": "SPLIT",
                "phase": 3,
                "bundle": BUNDLE,
                "payload": {"headline": "Hi"},
            }
        ],
        "document_version": 7,
    }


def test_get__many_visitors__agrees_with_decide(hold: Hold) -> None:
    hold(make_entry(), make_entry(slug="ramp", variants=[make_variant("control", 0, 50), make_variant("test", 50, 99)]))

    for number in range(200):
        unit_id = f"visitor-{number}"
        for item in json_of(get({"unit_id": unit_id}))["assignments"]:
            decision = decisions.decide(unit_id, {}, slug=item["experiment"])
            assert decision is not None
            assert (item["variant_key"], item["reason"]) == (decision.variant_key, decision.reason)


@pytest.mark.parametrize(("device", "reason"), [("phone", "SPLIT"), ("desk", "STATIC")])
def test_get__context__decides_targeting(hold: Hold, device: str, reason: str) -> None:
    hold(make_entry(targeting={"device": "phone"}))

    [item] = json_of(get({"unit_id": "v", "context": orjson.dumps({"device": device}).decode()}))["assignments"]

    assert item["reason"] == reason


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"experiment": "one"}, ["one"]),
        ({"experiment": ["two", "ghost", "one"]}, ["two", "one"]),
        ({"product": "cup"}, ["one"]),
        ({"product": ["pot", "cup"], "experiment": "one"}, ["one", "two"]),
        ({"product": "ghost"}, []),
        ({}, ["one", "two"]),
    ],
)
def test_get__names__narrow_the_answer(hold: Hold, query: dict[str, Any], found: list[str]) -> None:
    hold(make_entry(slug="one"), make_entry(slug="two", anchor_product_slug="pot"))

    answer = json_of(get({"unit_id": "v", **query}))

    assert [item["experiment"] for item in answer["assignments"]] == found
    assert answer["document_version"] == 7


def test_get__nothing_known_yet__is_an_empty_list() -> None:
    answer = json_of(get({"unit_id": "v"}))

    assert answer == {"assignments": [], "document_version": 0, "not_after": None}


def test_get__lease_run_out__is_control_and_says_so(hold: Hold, settings: LazySettings) -> None:
    hold(make_entry(variants=WHOLE))
    settings.STOREFRONT_STALE_SECONDS = -1

    answer = json_of(get({"unit_id": "v"}))

    [item] = answer["assignments"]
    assert (item["variant_key"], item["reason"], item["is_enrolled"]) == ("control", "ERROR", False)
    assert dt.datetime.fromisoformat(answer["not_after"]) <= dt.datetime.now(dt.UTC)


def test_get__etag__follows_the_decision_not_the_clock(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(make_entry())
    before = get({"unit_id": "v"}).headers["ETag"]

    monkeypatch.setattr(document.reader(), "_confirmed_at", document.reader()._confirmed_at - 90)
    after = get({"unit_id": "v"})

    assert after.headers["ETag"] == before


@pytest.mark.django_db
def test_get__enrolled__records_nothing(hold: Hold) -> None:
    hold(make_entry(variants=WHOLE))

    get({"unit_id": "v"})

    assert Exposure.objects.count() == 0


BAD_QUERIES = {
    "no-unit": "",
    "empty-unit": "unit_id=",
    "long-unit": f"unit_id={'x' * 256}",
    "unit-with-nul": "unit_id=a%00",
    "unit-twice": "unit_id=a&unit_id=b",
    "unknown": "unit_id=a&colour=red",
    "not-utf-8": "unit_id=%ff",
    "context-not-json": "unit_id=a&context={",
    "context-a-list": "unit_id=a&context=[]",
    "context-twice": "unit_id=a&context={}&context={}",
    "context-too-deep": "unit_id=a&context=" + '{"a":' * 2000 + "1" + "}" * 2000,
    "too-many": "&".join(f"experiment=e{number}" for number in range(300)),
}


@pytest.mark.parametrize("query", BAD_QUERIES.values(), ids=BAD_QUERIES.keys())
def test_get__odd_query__is_a_problem_that_names_the_parameter(hold: Hold, query: str) -> None:
    hold(make_entry())

    response = get(query)

    problem = json_of(response)
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == "invalid_query"
    assert problem["errors"][0]["field"] in problem["detail"]


BAD_BODIES: dict[str, tuple[Any, int]] = {
    "not-json": (b"{", 400),
    "not-utf-8": (b'{"unit_id": "\xff"}', 400),
    "twice": (b'{"unit_id": "a", "unit_id": "b"}', 400),
    "a-list": ([], 422),
    "null": (None, 422),
    "no-unit": ({}, 422),
    "unit-as-number": ({"unit_id": 5}, 422),
    "unit-empty": ({"unit_id": ""}, 422),
    "unknown-field": ({"unit_id": "a", "colour": 1}, 422),
    "context-a-list": ({"unit_id": "a", "context": []}, 422),
    "context-null": ({"unit_id": "a", "context": None}, 422),
    "experiments-a-text": ({"unit_id": "a", "experiments": "cup"}, 422),
    "products-of-numbers": ({"unit_id": "a", "products": [1]}, 422),
    "too-many": ({"unit_id": "a", "products": ["x"] * 101}, 422),
    "too-long": (b" " * 64_001, 413),
}


@pytest.mark.parametrize(("body", "status"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_post__odd_body__is_a_problem(hold: Hold, body: Any, status: int) -> None:
    hold(make_entry())

    response = post(body)

    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"


def test_post__form__is_an_unsupported_type(hold: Hold) -> None:
    hold(make_entry())

    assert post(b"unit_id=a", "application/x-www-form-urlencoded").status_code == 415


@pytest.fixture
def running(publish: Callable[[dt.datetime], int]) -> Experiment:
    """An experiment that runs since an hour and is published."""
    now = dt.datetime.now(dt.UTC)
    experiment = make_running_experiment(now=now - dt.timedelta(hours=1), forced_units={"qa-1": "test"})
    publish(now)
    return experiment


def test_post__enrolled__records_the_exposure_of_what_it_decided(running: Experiment) -> None:
    answer = json_of(post({"unit_id": "visitor-1", "products": ["cup"]}))

    [item] = answer["assignments"]
    exposure = Exposure.objects.get()
    assert answer["exposures"] == [{"experiment": "cup-saucer", "outcome": "accepted", "code": "", "detail": ""}]
    assert (exposure.variant_key, exposure.is_fault, exposure.phase_id) == (
        item["variant_key"],
        False,
        running.current_phase_id,
    )


def test_post__context__is_recorded_as_segments_as_far_as_results_are_told_apart_by_it(running: Experiment) -> None:
    context = {"device": "mobile", "country": "x" * 101, "email": "ada@example.org", "age": 40}

    post({"unit_id": "visitor-1", "context": context})

    assert Exposure.objects.get().segments == {"device": "mobile"}


def test_post__again__is_a_duplicate(running: Experiment) -> None:
    post({"unit_id": "visitor-1"})

    answer = json_of(post({"unit_id": "visitor-1"}))

    assert answer["exposures"][0]["outcome"] == "duplicate"
    assert Exposure.objects.count() == 1


def test_post__same_visitor__gets_what_get_says(running: Experiment) -> None:
    shown = json_of(get({"unit_id": "visitor-1"}))["assignments"]

    assert json_of(post({"unit_id": "visitor-1"}))["assignments"] == shown


def test_post__forced_unit__is_never_exposed(running: Experiment) -> None:
    answer = json_of(post({"unit_id": "qa-1"}))

    assert answer["assignments"][0]["reason"] == "TARGETING_MATCH"
    assert answer["exposures"] == []
    assert Exposure.objects.count() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"status": "paused"},
        {"shadowed": True},
        {"filters": [{"seed": "group", "ranges": []}]},
        {"targeting": {"device": "phone"}},
        {"variants": [make_variant("control", 0, 0), make_variant("test", 0, 0)]},
    ],
    ids=["paused", "shadowed", "other-group", "not-targeted", "no-coverage"],
)
@pytest.mark.django_db
def test_post__not_enrolled__is_never_exposed(hold: Hold, change: dict[str, Any]) -> None:
    make_running_experiment(now=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    hold(make_entry(**change))

    answer = json_of(post({"unit_id": "visitor-1"}))

    assert answer["exposures"] == []
    assert Exposure.objects.count() == 0


def test_post__held_out__is_recorded_as_such_and_never_enrolled(running: Experiment) -> None:
    now = dt.datetime.now(dt.UTC)
    holdout = publication.set_holdout(3_000, actor="user:mara", now=now - dt.timedelta(minutes=30))
    document.reader().refresh()
    unit = next(name for name in map(str, itertools.count()) if bucket(holdout.salt, name) < 3_000)

    answer = json_of(post({"unit_id": unit, "products": ["cup"]}))

    [item] = answer["assignments"]
    assert (item["variant_key"], item["is_enrolled"], item["is_holdout"]) == ("control", False, True)
    assert answer["exposures"][0]["outcome"] == "accepted"
    assert Exposure.objects.get().is_holdout


def test_post__telemetry_away__still_says_what_to_show(running: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(intake, "record_exposures", refuse)

    response = post({"unit_id": "visitor-1"})

    answer = json_of(response)
    assert response.status_code == 200
    assert answer["assignments"][0]["is_enrolled"]
    assert answer["exposures"][0]["code"] == "unavailable"
    assert response.headers["Cache-Control"] == "no-store"
