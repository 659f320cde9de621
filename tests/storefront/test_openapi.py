"""The fast path describes itself as truly as the views do: same description, same shapes as what is sent."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from storefront import fast_path
from tests.storefront.conftest import Hold
from tests.storefront.entries import make_entry

KINDS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
REQUESTS = {
    ("get", "/api/v1/catalog/assignments"): ("/api/v1/catalog/assignments?unit_id=v", None),
    ("post", "/api/v1/catalog/assignments"): ("/api/v1/catalog/assignments", {"unit_id": "v", "products": ["pot"]}),
    ("post", "/ofrep/v1/evaluate/flags"): ("/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "v"}}),
    ("post", "/ofrep/v1/evaluate/flags/{key}"): (
        "/ofrep/v1/evaluate/flags/cup-saucer",
        {"context": {"targetingKey": "v"}},
    ),
    ("get", "/api/features/{client_key}"): ("/api/features/test-client-key", None),
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The whole description."""
    generator: Any = SchemaGenerator()  # type: ignore[no-untyped-call]  # spectacular has no types here
    found: dict[str, Any] = generator.get_schema(request=None, public=True)
    return found


def check(value: Any, shape: Any, schema: dict[str, Any], place: str) -> None:
    """Hold a value against its schema: type, required members, no undescribed ones, enums."""
    if "$ref" in shape:
        shape = {**schema["components"]["schemas"][shape["$ref"].rpartition("/")[2]], **shape}
    if "oneOf" in shape:
        shape = next(one for one in shape["oneOf"] if (value is None) == (one.get("type") == "null"))
        return check(value, shape, schema, place)
    assert isinstance(value, KINDS[shape["type"]]), place
    assert value in shape.get("enum", [value]), place
    if shape["type"] == "array":
        for item in value:
            check(item, shape["items"], schema, f"{place}[]")
    if "properties" in shape:
        assert set(shape.get("required", ())) <= set(value), place
        assert "additionalProperties" in shape or set(value) <= set(shape["properties"]), place
        for name in value.keys() & shape["properties"].keys():
            check(value[name], shape["properties"][name], schema, f"{place}.{name}")
    return None


@pytest.mark.parametrize(("method", "path"), REQUESTS)
@pytest.mark.django_db
def test_answer__each_operation__has_the_described_shape(
    hold: Hold, schema: dict[str, Any], method: str, path: str
) -> None:
    hold(make_entry(), make_entry(slug="paused", status="paused", anchor_product_slug="pot"))
    address, body = REQUESTS[method, path]
    content = b"" if body is None else orjson.dumps(body)
    headers = {"X-API-Key": "test-server-key"}

    response = Client().generic(method.upper(), address, content, content_type="application/json", headers=headers)

    described = schema["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    assert response.status_code == 200
    check(orjson.loads(response.content), described, schema, path)


def test_description__each_route_and_method__is_there(schema: dict[str, Any]) -> None:
    routes = {
        fast_path.ASSIGNMENTS: fast_path.NATIVE,
        fast_path.OFREP: fast_path.ALL_FLAGS,
        f"{fast_path.OFREP}/{{key}}": fast_path.ONE_FLAG,
        f"{fast_path.FEATURES}{{client_key}}": fast_path.PAYLOAD,
    }

    described = {path: {method.upper() for method in schema["paths"][path]} for path in routes}

    assert described == {path: set(route.handlers) for path, route in routes.items()}


def test_description__each_operation__names_key_and_throttling(schema: dict[str, Any]) -> None:
    for method, path in REQUESTS:
        operation = schema["paths"][path][method]
        assert "429" in operation["responses"]
        assert operation["x-scopes"] == ["evaluate"]
        assert operation["summary"]
