"""A caller of the API, and a fingerprint of everything the API could change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from django.apps import apps
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from catalog_experiments.access import issue_key

PREFIX = "/api/v1"


class Api:
    """Calls with one key; a body that is not bytes is sent as JSON."""

    def __init__(self, key: str | None) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = {"X-API-Key": key} if key is not None else {}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        kind = sent.pop("Content-Type", "application/json")
        address = path if path.startswith("/api/") else PREFIX + path
        response: Any = self.client.generic(method, address, content, content_type=kind, headers=sent)
        return cast("HttpResponse", response)

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self.call("PUT", path, body, **headers)


def json_of(response: HttpResponse) -> Any:
    return orjson.loads(response.content)


def problem_of(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """Check that the answer is a problem of this status and code, and return it."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = json_of(response)
    assert problem["status"] == status
    assert problem["code"] == code, problem
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    return problem


def fields_of(problem: dict[str, Any]) -> set[tuple[str, str]]:
    return {(error["field"], error["code"]) for error in problem["errors"]}


@pytest.fixture
def api(db: None) -> Api:
    """Call with the key of the environment, which has every scope."""
    return Api("test-server-key")


@pytest.fixture
def browser(db: None) -> Api:
    """Call with the public client key."""
    return Api("test-client-key")


@pytest.fixture
def nobody(db: None) -> Api:
    """Call without a key."""
    return Api(None)


@pytest.fixture
def api_with(db: None) -> Callable[..., Api]:
    """Make a caller whose stored key has just these scopes."""
    return lambda *scopes: Api(issue_key("-".join(scopes), scopes=scopes).secret)


@pytest.fixture
def fingerprint(db: None) -> Callable[[], str]:
    """Digest every row of the apps' tables, but for the times of keys and the counts of calls."""
    models = [
        model
        for label in ("catalog_experiments", "notifications", "storefront")
        for model in apps.get_app_config(label).get_models()
        if model.__name__ not in ("ApiKey", "CallCount")
    ]

    def digest() -> str:
        rows: list[object] = []
        with connection.cursor() as cursor:
            for table in sorted(model._meta.db_table for model in models):
                name = connection.ops.quote_name(table)
                cursor.execute(f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} AS t")
                rows.append((table, cursor.fetchone()))
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    return digest
