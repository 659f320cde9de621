"""OpenFeature's providers for Python, Node and browsers, unmodified, against remote evaluation as we answer it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from tests.clients.conftest import CLIENT_KEY, SERVER_KEY, Site
from tests.clients.programs import run
from tests.clients.states import entries
from tests.storefront.entries import make_entry, make_variant

CONTROL: dict[str, Any] = {"bundle": None, "payload": {}}
FALLBACK = {"fallback": True}
ENROLLED = "visitor-4"  # bucket 9243 of the first state


def offer(copy: str) -> dict[str, Any]:
    return {"bundle": "cup-and-saucer", "payload": {"copy": copy, "rank": 1.5}}


EXPECTED = {
    # flag: (targeting key, variant, reason, whether in the experiment, value)
    "full": (ENROLLED, "other", "SPLIT", True, offer("other")),
    "closed": (ENROLLED, "control", "STATIC", False, CONTROL),
    "targeted": (ENROLLED, "control", "STATIC", False, CONTROL),
    "forced": ("visitor-7", "test", "TARGETING_MATCH", False, offer("test")),
    "shadowed": (ENROLLED, "control", "STATIC", False, CONTROL),
    "paused": ("visitor-7", "control", "DISABLED", False, CONTROL),
    "completed": (ENROLLED, "control", "STATIC", False, CONTROL),
    "shipped": (ENROLLED, "other", "STATIC", False, offer("other")),
}
ERRORS = {
    # flag: (context, error code)
    "no-such": ({"targetingKey": ENROLLED}, "FLAG_NOT_FOUND"),
    "unreadable": ({"targetingKey": ENROLLED}, "GENERAL"),
    "full": ({}, "TARGETING_KEY_MISSING"),
    "paused": ({"targetingKey": "x" * 256}, "INVALID_CONTEXT"),
}


@pytest.fixture
def shop(site: Site) -> Site:
    """Publish every state, and one experiment that cannot be read."""
    site.publish(*entries(), make_entry(slug="unreadable", phase="many"))
    return site


@pytest.fixture
def python_client(shop: Site) -> Iterator[OpenFeatureClient]:
    """Return the Python SDK's client with the provider as its own page shows it."""
    provider = OFREPProvider(shop.address, headers_factory=lambda: {"Authorization": f"Bearer {SERVER_KEY}"})
    api.set_provider(provider)
    yield api.get_client()
    api.clear_providers()
    provider.session.close()


def test_python_provider__every_state__reads_as_meant(python_client: OpenFeatureClient) -> None:
    for flag, (key, *expected) in EXPECTED.items():
        details = python_client.get_object_details(flag, FALLBACK, EvaluationContext(key))

        assert details.error_code is None, flag
        found = (details.variant, details.reason, details.flag_metadata["inExperiment"], details.value)
        assert found == tuple(expected), flag


def test_python_provider__failed_flags__fall_back_with_their_codes(python_client: OpenFeatureClient) -> None:
    for flag, (context, code) in ERRORS.items():
        details = python_client.get_object_details(flag, FALLBACK, EvaluationContext(context.get("targetingKey")))

        assert (details.value, details.error_code) == (FALLBACK, ErrorCode(code)), flag
        assert details.error_message, flag


def test_python_provider__wrong_key__falls_back(shop: Site) -> None:
    provider = OFREPProvider(shop.address, headers_factory=lambda: {"X-API-Key": "wrong"})
    api.set_provider(provider)

    details = api.get_client().get_object_details("full", FALLBACK, EvaluationContext(ENROLLED))

    assert (details.value, details.error_message) == (FALLBACK, "unauthorized")
    api.clear_providers()
    provider.session.close()


def test_python_provider__attributes__decide_the_targeting(python_client: OpenFeatureClient) -> None:
    meant = EvaluationContext(ENROLLED, {"country": "DE", "email": "v@example.org", "age": 30})

    inside = python_client.get_object_details("targeted", FALLBACK, meant)
    outside = python_client.get_object_details("targeted", FALLBACK, EvaluationContext(ENROLLED, {"country": "DE"}))

    assert (inside.reason, outside.reason) == ("SPLIT", "STATIC")


def test_node_provider__every_state_and_failure__reads_as_meant(shop: Site) -> None:
    asked = [{"flag": flag, "context": {"targetingKey": key}} for flag, (key, *_) in EXPECTED.items()]
    failing = [{"flag": flag, "context": context} for flag, (context, _) in ERRORS.items()]

    details = run(
        "ofrep_server_provider.mjs", {"address": shop.address, "key": SERVER_KEY, "questions": [*asked, *failing]}
    )

    whole, failed = details[: len(asked)], details[len(asked) :]
    assert [read(each) for each in whole] == [tuple(expected) for _, *expected in EXPECTED.values()]
    assert [(each["value"], each["reason"]) for each in failed] == [(FALLBACK, "ERROR")] * len(ERRORS)
    assert [each["errorCode"] for each in failed] == [code for _, code in ERRORS.values()]


def read(details: dict[str, Any]) -> tuple[Any, ...]:
    """Return of a provider's details what a page acts on."""
    metadata = details["flagMetadata"]
    return (details["variant"], details["reason"], metadata["inExperiment"], details["value"])


def test_web_provider__one_visitor_over_time__asks_in_bulk_and_keeps_what_stands(site: Site) -> None:
    site.publish(make_entry(slug="copy", targeting={"country": "DE"}, variants=whole_test()), *entries())
    contexts = [
        {"targetingKey": ENROLLED, "country": "DE"},
        {"targetingKey": ENROLLED, "country": "DE", "page": "teapots"},  # an attribute that nothing depends on
        {"targetingKey": ENROLLED, "country": "FR"},
        {"targetingKey": "visitor-1", "country": "FR"},
    ]
    question = {
        "address": site.address,
        "key": CLIENT_KEY,
        "contexts": contexts,
        "flags": ["copy", "no-such", *EXPECTED],
    }

    first, same, elsewhere, other = run("ofrep_web_provider.mjs", question)

    assert [step["asked"][0]["status"] for step in (first, same, elsewhere, other)] == [200, 304, 200, 200]
    assert [len(step["asked"]) for step in (first, same, elsewhere, other)] == [1, 1, 1, 1]
    assert first["asked"][0]["ifNoneMatch"] is other["asked"][0]["ifNoneMatch"] is None
    assert same["asked"][0]["ifNoneMatch"] == elsewhere["asked"][0]["ifNoneMatch"] is not None
    assert [step["details"][0]["reason"] for step in (first, same, elsewhere)] == ["SPLIT", "SPLIT", "STATIC"]
    assert [read(each) for each in same["details"] if "errorCode" not in each] == [
        read(each) for each in first["details"] if "errorCode" not in each
    ]
    assert first["details"][1]["errorCode"] == "FLAG_NOT_FOUND"
    assert first["details"][1]["value"] == FALLBACK


def whole_test() -> list[dict[str, Any]]:
    return [make_variant("control", 0, 0, bundle=None), make_variant("test", 0, 10_000)]


def test_web_provider__one_broken_experiment__the_others_stand(shop: Site) -> None:
    question = {"address": shop.address, "key": CLIENT_KEY, "contexts": [{"targetingKey": ENROLLED}]}

    (step,) = run("ofrep_web_provider.mjs", {**question, "flags": ["unreadable", "full"]})

    broken, whole = step["details"]
    assert (broken["errorCode"], broken["value"]) == ("GENERAL", FALLBACK)
    assert read(whole) == EXPECTED["full"][1:]


def test_bulk__over_http__sends_what_browsers_need(shop: Site) -> None:
    path, context = "/ofrep/v1/evaluate/flags", {"targetingKey": ENROLLED}

    whole, single = shop.ask(path, context), shop.ask(f"{path}/full", context)
    unknown, refused = shop.ask(f"{path}/no-such", context), shop.ask(path, context, key="wrong")

    assert whole.headers["Content-Type"] == "application/json"
    assert whole.headers["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "X-API-Key"} <= {name.strip() for name in whole.headers["Vary"].split(",")}
    assert single.json() in whole.json()["flags"]
    assert (unknown.status_code, unknown.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")
    assert (refused.status_code, "errorDetails" in refused.json()) == (401, True)


def test_bulk__etag_known_already__is_not_modified(shop: Site) -> None:
    url, body = f"{shop.address}/ofrep/v1/evaluate/flags", {"context": {"targetingKey": ENROLLED}}
    headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
    etag = requests.post(url, json=body, headers=headers, timeout=10).headers["ETag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = requests.post(url, json=body, headers={**headers, "If-None-Match": known}, timeout=10)
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag), known
