"""Pages of other origins: closed by default, open by exact name, and never with a server key."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from django.conf import LazySettings
from django.test import Client

from tests.storefront.conftest import Hold
from tests.storefront.entries import make_entry

SHOP = "https://shop.example"
ADDRESSES = {
    "native": ("GET", "/api/v1/catalog/assignments?unit_id=v"),
    "bulk": ("POST", "/ofrep/v1/evaluate/flags"),
    "single": ("POST", "/ofrep/v1/evaluate/flags/cup-saucer"),
    "exposures": ("POST", "/api/v1/catalog/exposures"),
}
EACH = pytest.mark.parametrize("name", ADDRESSES)
ALLOW = "Access-Control-Allow-Origin"


@pytest.fixture
def open_to_shop(settings: LazySettings) -> None:
    """Name the shop's origin, and one more."""
    settings.STOREFRONT_ALLOWED_ORIGINS = [SHOP, "http://localhost:3000"]


def preflight(name: str, origin: str = SHOP) -> Any:
    method, address = ADDRESSES[name]
    headers = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x-api-key"}
    return Client().options(address, headers=headers)


def call(name: str, origin: str = SHOP, key: str | None = "test-client-key") -> Any:
    method, address = ADDRESSES[name]
    body: dict[str, Any] = {"exposures": []} if name == "exposures" else {"context": {"targetingKey": "v"}}
    headers = {"Origin": origin} | ({"X-API-Key": key} if key else {})
    return Client().generic(method, address, orjson.dumps(body), content_type="application/json", headers=headers)


@EACH
def test_preflight__nothing_configured__grants_nothing(name: str) -> None:
    response = preflight(name)

    assert response.status_code == 204
    assert not [header for header in response.headers if header.startswith("Access-Control")]


@EACH
@pytest.mark.usefixtures("open_to_shop")
def test_preflight__origin_on_the_list__grants_methods_and_headers(name: str) -> None:
    response = preflight(name)

    assert response.status_code == 204
    assert response.headers[ALLOW] == SHOP
    assert ADDRESSES[name][0] in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert {"authorization", "x-api-key", "content-type", "if-none-match"} <= set(allowed.split(", "))
    assert response.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in response.headers


@EACH
@pytest.mark.usefixtures("open_to_shop")
@pytest.mark.parametrize(
    "origin", ["https://shop.example.evil", "http://shop.example", "https://shop.example:444", "null", "", "*"]
)
def test_preflight__any_other_origin__grants_nothing(name: str, origin: str) -> None:
    assert ALLOW not in preflight(name, origin).headers


@EACH
@pytest.mark.usefixtures("open_to_shop")
@pytest.mark.django_db
def test_call__client_key_from_the_shop__may_read_answer_and_tag(hold: Hold, name: str) -> None:
    hold(make_entry())

    response = call(name)

    assert response.status_code == 200
    assert response.headers[ALLOW] == SHOP
    assert {"ETag", "Retry-After"} <= set(response.headers["Access-Control-Expose-Headers"].split(", "))
    assert "Origin" in response.headers["Vary"]


@EACH
@pytest.mark.usefixtures("open_to_shop")
@pytest.mark.django_db
def test_call__server_key_in_a_page__is_kept_from_it(hold: Hold, name: str) -> None:
    hold(make_entry())

    assert ALLOW not in call(name, key="test-server-key").headers


@pytest.mark.parametrize("name", ["native", "bulk", "single"])
@pytest.mark.usefixtures("open_to_shop")
def test_call__refused__may_still_be_read(hold: Hold, name: str) -> None:
    hold(make_entry())

    response = call(name, key=None)

    assert response.status_code == 401
    assert response.headers[ALLOW] == SHOP


@EACH
@pytest.mark.django_db
def test_call__nothing_configured__grants_nothing(hold: Hold, name: str) -> None:
    hold(make_entry())

    assert ALLOW not in call(name).headers


def test_payload__any_origin__may_read_it(hold: Hold) -> None:
    hold(make_entry())

    response = Client().get("/api/features/test-client-key", headers={"Origin": "https://anywhere.example"})

    assert response.status_code == 200
    assert response.headers[ALLOW] == "*"


@pytest.mark.django_db
@pytest.mark.usefixtures("open_to_shop")
def test_other_addresses__preflight__is_not_answered_here() -> None:
    headers = {"Origin": SHOP, "Access-Control-Request-Method": "GET"}

    response = Client().options("/api/v1/catalog/experiments", headers=headers)

    assert response.status_code != 204
    assert ALLOW not in response.headers
