"""GrowthBook's SDKs for Python and JavaScript, unmodified, decide from our payload as our server decides."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.clients.conftest import CLIENT_KEY, SERVER_KEY, Site
from tests.clients.programs import started
from tests.clients.states import entries, visitors

SDKS = ["growthbook_sdk.py", "growthbook_sdk.mjs"]
MANY = 10_000
SHOWN = tuple[str, bool, Any]
"""Variant, whether enrolled, value."""


def test_sdks__ten_thousand_visitors_in_every_state__assign_as_the_server(site: Site) -> None:
    published, shoppers = entries(), visitors(MANY)
    site.publish(*published)
    features = [entry["slug"] for entry in published]

    with started(SDKS, question(site, features, shoppers)) as answers:
        from_server = ask_server(site, shoppers)

    for sdk, answer in zip(SDKS, answers, strict=True):
        for shopper, seen, expected in zip(shoppers, answer.result(), from_server, strict=True):
            assert [shown(result) for result in seen] == expected, (sdk, shopper)
    assert_every_state_met(features, from_server)


def question(site: Site, features: list[str], shoppers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"address": site.address, "clientKey": CLIENT_KEY, "features": features, "visitors": shoppers}


def ask_server(site: Site, shoppers: list[dict[str, Any]]) -> list[list[SHOWN]]:
    """Return what our server shows each visitor, asked over HTTP in bulk."""
    link = http.client.HTTPConnection(str(urlsplit(site.address).hostname), urlsplit(site.address).port)
    headers = {"X-API-Key": CLIENT_KEY, "Content-Type": "application/json"}
    found = []
    for attributes in shoppers:
        context = {**attributes, "targetingKey": attributes["id"]}
        link.request("POST", "/ofrep/v1/evaluate/flags", json.dumps({"context": context}), headers)
        flags = json.loads(link.getresponse().read())["flags"]
        found.append([(flag["variant"], flag["reason"] == "SPLIT", flag["value"]) for flag in flags])
    link.close()
    return found


def shown(result: list[Any]) -> SHOWN:
    """Read an SDK's result: the rule that forced a value, if one did, is named for its variant."""
    source, rule, key, value = result
    if source == "experiment":
        return key, True, value
    if source == "force":
        return rule.removeprefix("forced-").removeprefix("shipped-"), False, value
    assert source == "defaultValue", result
    return "control", False, value


def assert_every_state_met(features: list[str], found: list[list[SHOWN]]) -> None:
    """Make sure that the comparison compared something: who is enrolled where, and who is forced."""
    enrolled = {slug: sum(each[place][1] for each in found) for place, slug in enumerate(features)}
    seen = {slug: {each[place][0] for each in found} for place, slug in enumerate(features)}
    nobody = ("closed", "shadowed", "paused", "completed", "shipped")
    assert [slug for slug, count in enrolled.items() if count == 0] == list(nobody)
    assert (enrolled["full"], enrolled["salt-beyond-ascii"]) == (MANY, MANY)
    assert 1_800 < enrolled["partial"] < 2_200
    assert 500 < enrolled["everything"] < enrolled["targeted"] < 5_000
    assert 5_000 < enrolled["held-out"] < enrolled["excluded"] < 6_000
    assert seen["full"] == seen["everything"] == seen["shadowed"] == {"control", "test", "other"}
    assert (seen["paused"], seen["completed"], seen["shipped"]) == ({"control"}, {"control"}, {"other"})


def test_sdks__attribute_missing_from_a_comparison__only_python_says_no(site: Site) -> None:
    site.publish(*(entry for entry in entries() if entry["slug"] == "full"), unguarded())
    shoppers: list[dict[str, Any]] = [
        {"id": "visitor-1"},
        {"id": "visitor-1", "age": 20},
        {"id": "visitor-1", "age": 40},
    ]

    with started(SDKS, question(site, ["unguarded"], shoppers)) as answers:
        server = ask_server(site, shoppers)

    python, javascript = (answer.result() for answer in answers)
    assert [shown(each[0])[1] for each in javascript] == [each[1][1] for each in server] == [True, True, False]
    assert [shown(each[0])[1] for each in python] == [False, True, False]


def unguarded() -> dict[str, Any]:
    """Make an experiment for visitors below an age, also for those who told none: null counts as 0 in JavaScript."""
    (full,) = (entry for entry in entries() if entry["slug"] == "full")
    return {**full, "slug": "unguarded", "targeting": {"age": {"$lt": 30}}}


def test_payload__asked_again__is_not_modified(site: Site) -> None:
    site.publish(*entries())
    url = f"{site.address}/api/features/{CLIENT_KEY}"

    first = requests.get(url, timeout=10)
    again = requests.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=10)

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    assert "X-SSE-Support" not in first.headers


def test_payload__no_client_key__is_refused_in_json(site: Site) -> None:
    site.publish(*entries())

    for key in ("unknown", SERVER_KEY):
        answer = requests.get(f"{site.address}/api/features/{key}", timeout=10)
        assert (answer.status_code, answer.json()["status"]) == (400, 400)
        assert "features" not in answer.json()
