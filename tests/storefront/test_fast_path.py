"""The first middleware: who gets in, what answers carry, what passes untouched, and that a warm read asks nobody."""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import Any

import orjson
import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis.connection import AbstractConnection

from catalog_experiments.access import issue_key
from catalog_experiments.models import ApiKey
from storefront import assignments, document, growthbook, ofrep, rate_limits
from storefront.answers import Answer
from tests.storefront.conftest import Hold
from tests.storefront.entries import make_entry

NATIVE = "/api/v1/catalog/assignments"
BULK = "/ofrep/v1/evaluate/flags"
ONE = f"{BULK}/cup-saucer"
PAYLOAD = "/api/features/test-client-key"
SERVER = {"X-API-Key": "test-server-key"}
ASKING = {"context": {"targetingKey": "visitor-1"}}
ROUTES = {
    "native": ("GET", f"{NATIVE}?unit_id=visitor-1", None),
    "ofrep-bulk": ("POST", BULK, ASKING),
    "ofrep-single": ("POST", ONE, ASKING),
    "payload": ("GET", PAYLOAD, None),
}
ALL = pytest.mark.parametrize("route", ROUTES)
WITH_HEADER_KEY = pytest.mark.parametrize("route", [name for name in ROUTES if name != "payload"])


def ask(route: str, *, key: str | None = "test-server-key", **headers: str) -> Any:
    """Send the route's request with a key in the header, unless its address holds it."""
    method, address, body = ROUTES[route]
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["X-API-Key"] = key
    content = b"" if body is None else orjson.dumps(body)
    return Client().generic(method, address, content, content_type="application/json", headers=sent)


@ALL
def test_route__valid_key__answers_json_with_its_length_and_request_id(hold: Hold, route: str) -> None:
    hold(make_entry())

    response = ask(route, X_Request_ID="shop-42")

    assert response.status_code == 200, response.content
    assert orjson.loads(response.content)
    assert response.headers["Content-Type"] == "application/json"
    assert int(response.headers["Content-Length"]) == len(response.content)
    assert response.headers["X-Request-ID"] == "shop-42"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["RateLimit"].startswith('"default";r=')
    assert response.headers["RateLimit-Policy"] == '"default";q=60000;w=60'
    assert "Set-Cookie" not in response.headers


@ALL
def test_route__unfit_request_id__is_replaced(hold: Hold, route: str) -> None:
    hold(make_entry())

    response = ask(route, X_Request_ID="two words")

    assert len(response.headers["X-Request-ID"]) == 32


@ALL
@pytest.mark.django_db
def test_route__warm__asks_neither_the_database_nor_redis(
    hold: Hold, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(make_entry(), make_entry(slug="other", anchor_product_slug="pot"))
    ask(route)
    sent: list[object] = []
    monkeypatch.setattr(AbstractConnection, "send_command", lambda self, *args, **kwargs: sent.append(args))

    with CaptureQueriesContext(connection) as queries:
        response = ask(route)

    assert response.status_code == 200
    assert not queries.captured_queries
    assert not sent


@WITH_HEADER_KEY
@pytest.mark.parametrize("key", [None, "", "wrong", "x" * 5_000])
@pytest.mark.django_db
def test_route__no_valid_key__is_refused(hold: Hold, route: str, key: str | None) -> None:
    hold(make_entry())
    document.reader().keys.refresh()

    response = ask(route, key=key)

    assert response.status_code == 401
    assert "Bearer" in response.headers["WWW-Authenticate"]
    assert response.headers["Cache-Control"] == "no-store"


def test_native__wrong_key__is_a_problem_with_the_request_id(hold: Hold) -> None:
    hold(make_entry())

    response = ask("native", key=None, X_Request_ID="r-1")

    problem = orjson.loads(response.content)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["code"], problem["request_id"]) == (401, "invalid_api_key", "r-1")


def test_ofrep__wrong_key__keeps_the_protocols_form(hold: Hold) -> None:
    hold(make_entry())

    answer = orjson.loads(ask("ofrep-bulk", key=None).content)

    assert answer == {"errorCode": "GENERAL", "errorDetails": "Invalid API key"}


@pytest.mark.parametrize("key", ["unknown", "test-server-key"])
@pytest.mark.django_db
def test_payload__unknown_or_secret_key_in_the_address__is_a_bad_request_without_features(hold: Hold, key: str) -> None:
    hold(make_entry())
    document.reader().keys.refresh()

    response = Client().get(f"/api/features/{key}")

    assert response.status_code == 400
    assert "features" not in orjson.loads(response.content)
    assert response.headers["Cache-Control"] == "no-store"


@WITH_HEADER_KEY
def test_route__bearer_key__is_as_good(hold: Hold, route: str) -> None:
    hold(make_entry())

    assert ask(route, key=None, Authorization="Bearer test-client-key").status_code == 200


@WITH_HEADER_KEY
def test_route__two_different_keys__is_refused(hold: Hold, route: str) -> None:
    hold(make_entry())

    assert ask(route, key="test-server-key", Authorization="Bearer test-client-key").status_code == 401


@pytest.mark.django_db
def test_route__key_without_the_scope__is_forbidden(hold: Hold) -> None:
    hold(make_entry())
    issued = issue_key("warehouse", scopes=["read", "ingest", "operate"])
    document.reader().keys.refresh()

    response = ask("native", key=issued.secret)

    assert response.status_code == 403
    assert "evaluate" in orjson.loads(response.content)["detail"]


@pytest.mark.django_db
def test_route__key_revoked__is_refused_after_the_next_look(hold: Hold) -> None:
    hold(make_entry())
    issued = issue_key("shop", scopes=["evaluate"])
    document.reader().keys.refresh()
    before = ask("native", key=issued.secret).status_code
    ApiKey.objects.update(revoked_at=dt.datetime.now(dt.UTC))

    document.reader().keys.refresh()

    assert (before, ask("native", key=issued.secret).status_code) == (200, 401)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live_reader")
def test_route__key_revoked_elsewhere__is_refused_within_two_seconds() -> None:
    issued = issue_key("shop", scopes=["evaluate"])
    before = ask("native", key=issued.secret).status_code
    ApiKey.objects.update(revoked_at=dt.datetime.now(dt.UTC))

    started = time.monotonic()
    while (after := ask("native", key=issued.secret).status_code) == 200 and time.monotonic() - started < 2:
        time.sleep(0.02)
    document.renew()

    assert (before, after) == (200, 401)


@pytest.mark.django_db
def test_route__key_expired_since_the_last_look__is_refused(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(make_entry())
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    issued = issue_key("shop", scopes=["evaluate"], expires_at=soon)
    document.reader().keys.refresh()
    before = ask("native", key=issued.secret).status_code

    monkeypatch.setattr("storefront.keys.timezone.now", lambda: soon)

    assert (before, ask("native", key=issued.secret).status_code) == (200, 401)


def test_route__keys_never_read__is_unavailable_not_unauthorized(hold: Hold) -> None:
    hold(make_entry())

    response = ask("native", key="maybe-a-good-one")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"


@pytest.mark.django_db
def test_route__stored_key_used__is_noted_once_a_minute_by_the_reader(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(make_entry())
    issued = issue_key("shop", scopes=["evaluate"])
    keys = document.reader().keys
    keys.refresh()
    ask("native", key=issued.secret)

    keys.refresh()
    too_early = ApiKey.objects.get().last_used_at
    monkeypatch.setattr(keys, "_noted_at", keys._noted_at - dt.timedelta(minutes=1))
    keys.refresh()

    assert too_early is None
    assert ApiKey.objects.get().last_used_at is not None


@pytest.mark.parametrize("route", ["native", "ofrep-bulk", "payload"])
@pytest.mark.parametrize("spelling", ["{}", "W/{}", '"other", {}', 'W/"other",W/{} , "x"', "*"])
def test_route__etag_still_right__is_304_without_body(hold: Hold, route: str, spelling: str) -> None:
    hold(make_entry())
    first = ask(route)
    tag = first.headers["ETag"]

    again = ask(route, If_None_Match=spelling.format(tag.removeprefix("W/")))

    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["ETag"] == tag
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert "Content-Type" not in again.headers


@pytest.mark.parametrize("route", ["native", "ofrep-bulk", "payload"])
def test_route__document_changed__is_sent_anew(hold: Hold, route: str) -> None:
    hold(make_entry())
    tag = ask(route).headers["ETag"]

    hold(make_entry(status="paused"), version=8)

    assert ask(route, If_None_Match=tag).status_code == 200


@pytest.mark.parametrize("route", ["native", "payload"])
def test_route__head__is_get_without_body(hold: Hold, route: str) -> None:
    hold(make_entry())

    response = Client().head(ROUTES[route][1], headers=SERVER)

    assert response.status_code == 200
    assert response.content == b""
    assert "ETag" in response.headers


@pytest.mark.parametrize(
    ("method", "address", "allowed"),
    [("PUT", NATIVE, "GET, POST"), ("GET", BULK, "POST"), ("DELETE", ONE, "POST"), ("POST", PAYLOAD, "GET")],
)
def test_route__other_method__is_refused_with_those_allowed(
    hold: Hold, method: str, address: str, allowed: str
) -> None:
    hold(make_entry())

    response = Client().generic(method, address, headers=SERVER)

    assert response.status_code == 405
    assert response.headers.get("Allow", allowed) == allowed


@pytest.mark.parametrize("route", ["ofrep-bulk", "ofrep-single"])
def test_route__body_too_long_or_in_chunks__is_refused(hold: Hold, route: str) -> None:
    hold(make_entry())
    address = ROUTES[route][1]

    long = Client().generic("POST", address, b"x" * 64_001, headers=SERVER)
    chunked = Client().generic("POST", address, b"", headers=SERVER | {"Transfer-Encoding": "chunked"})

    assert (long.status_code, chunked.status_code) == (413, 411)
    assert "errorDetails" in orjson.loads(long.content)


@ALL
def test_route__past_the_limit__is_429_with_the_seconds_to_wait(
    hold: Hold, route: str, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(make_entry())
    settings.STOREFRONT_RATE_LIMIT = 2
    monkeypatch.setattr("storefront.rate_limits.time.monotonic", lambda: 6_000.5)
    client = Client()
    method, address, body = ROUTES[route]
    content = b"" if body is None else orjson.dumps(body)

    answers = [
        client.generic(method, address, content, content_type="application/json", headers=SERVER) for _ in range(3)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit"] for answer in answers] == [f'"default";r={left};t=60' for left in (1, 0, 0)]
    assert answers[2].headers["Retry-After"] == "60"


@pytest.mark.django_db
def test_exposures__past_the_limit__are_429_with_the_seconds_to_wait_each_key_for_itself(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STOREFRONT_RATE_LIMIT = 2
    monkeypatch.setattr("storefront.rate_limits.time.monotonic", lambda: 6_000.5)
    browser = Client(headers={"X-API-Key": "test-client-key"})
    address, body = "/api/v1/catalog/exposures", '{"exposures": []}'

    answers = [browser.post(address, body, content_type="application/json") for _ in range(3)]
    other = Client(headers=SERVER).post(address, body, content_type="application/json")
    nobody = Client().post(address, body, content_type="application/json")

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit"] for answer in answers] == [f'"default";r={left};t=60' for left in (1, 0, 0)]
    assert answers[2].headers["Retry-After"] == "60"
    refused = orjson.loads(answers[2].content)
    assert (refused["code"], refused["request_id"]) == ("too_many_requests", answers[2].headers["X-Request-ID"])
    assert (other.status_code, nobody.status_code) == (200, 401)


def test_route__limit_switched_off__says_nothing_of_it(hold: Hold, settings: LazySettings) -> None:
    hold(make_entry())
    settings.STOREFRONT_RATE_LIMIT = 0

    assert "RateLimit" not in ask("native").headers


def test_rate_limit__next_window__starts_again(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STOREFRONT_RATE_LIMIT = 1
    limiter = rate_limits.RateLimiter()
    found = []
    for now in (600.0, 601.0, 661.0):
        monkeypatch.setattr("storefront.rate_limits.time.monotonic", lambda now=now: now)
        found.append(limiter.take("shop"))
        assert limiter.take("other-" + str(now)) is not None

    assert [one is not None and one.is_exceeded for one in found] == [False, True, False]


@ALL
def test_route__fault_of_ours__is_an_answer_of_its_protocol(
    hold: Hold, route: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hold(make_entry())

    def fail(*args: object) -> Answer:
        raise ZeroDivisionError

    for module, name in (
        (assignments, "show"),
        (ofrep, "evaluate_one"),
        (ofrep, "evaluate_all"),
        (growthbook, "features"),
    ):
        monkeypatch.setattr(module, name, fail)
    with caplog.at_level(logging.ERROR, logger="storefront.fast_path"):
        response = ask(route, X_Request_ID="r-9")

    assert response.status_code == 500
    assert orjson.loads(response.content)
    assert b"ZeroDivision" not in response.content
    assert "r-9" in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "status"),
    [("/livez", 200), ("/api/v1/catalog/assignment", 404), ("/ofrep/v1/evaluate", 404), ("/api/features", 404)],
)
def test_other_addresses__pass_through_the_rest_of_the_stack(address: str, status: int) -> None:
    response = Client().get(address)

    assert response.status_code == status
    assert "RateLimit" not in response.headers
    assert "Content-Security-Policy" in response.headers


def test_middleware__order__is_the_first(settings: LazySettings) -> None:
    assert settings.MIDDLEWARE[0] == "storefront.fast_path.FastPathMiddleware"
