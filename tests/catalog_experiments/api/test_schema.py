"""The API describes itself: validly, completely, and with names that clients may hold on to."""

import io
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from tests.catalog_experiments.api.conftest import Api

OPERATIONS = {
    "experiment_list",
    "experiment_create",
    "experiment_detail",
    "experiment_update",
    "experiment_delete",
    "experiment_publish",
    "experiment_pause",
    "experiment_resume",
    "experiment_complete",
    "experiment_conclude",
    "experiment_clone",
    "experiment_ramp_advance",
    "experiment_ramp_stop",
    "experiment_preflight",
    "experiment_preflight_run",
    "experiment_evaluate",
    "experiment_guardrail_backtest",
    "experiment_report",
    "experiment_metrics",
    "experiment_events",
    "bundle_list",
    "bundle_create",
    "bundle_of_product",
    "bundle_detail",
    "bundle_update",
    "bundle_delete",
    "bundle_guardrail_backtest",
    "exposure_record",
    "order_record",
    "alias_record",
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The description as the command writes it."""
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    loaded: dict[str, Any] = yaml.safe_load(out.getvalue())
    return loaded


def ours(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return our operations by id."""
    return {
        operation["operationId"]: operation
        for path, methods in schema["paths"].items()
        if path.startswith("/api/v1/catalog/")
        for operation in methods.values()
    }


def test_schema__validated_with_warnings_as_errors__is_openapi_3_1(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")


def test_schema__operation_ids__are_the_promised_ones(schema: dict[str, Any]) -> None:
    assert set(ours(schema)) >= OPERATIONS


def test_schema__each_address__stands_in_one_spelling(schema: dict[str, Any]) -> None:
    paths = [path for path in schema["paths"] if path.startswith("/api/v1/")]

    assert len({path.rstrip("/") for path in paths}) == len(paths)


def test_schema__each_operation__wants_a_key_and_names_its_refusals(schema: dict[str, Any]) -> None:
    assert schema["components"]["securitySchemes"]["ApiKey"]["name"] == "X-API-Key"
    for name in OPERATIONS:
        operation = ours(schema)[name]
        assert {"ApiKey": []} in operation["security"], name
        assert {"401", "403"} <= set(operation["responses"]), name
        assert "application/problem+json" in operation["responses"]["401"]["content"], name
        assert operation["summary"], name
        assert {"RateLimit", "RateLimit-Policy", "Retry-After"} == set(operation["responses"]["429"]["headers"]), name


def test_schema__exposures__come_in_three_shapes(schema: dict[str, Any]) -> None:
    body = ours(schema)["exposure_record"]["requestBody"]["content"]["application/json"]["schema"]
    shapes = schema["components"]["schemas"]

    named = {each["$ref"].rsplit("/", 1)[1] for each in shapes[body["$ref"].rsplit("/", 1)[1]]["oneOf"]}
    items = shapes["ExposureBatch"]["properties"]["exposures"]["items"]
    members = {each["$ref"].rsplit("/", 1)[1] for each in shapes[items["$ref"].rsplit("/", 1)[1]]["oneOf"]}

    assert named == {"ExposureBatch", "SegmentBatch", "SegmentView", "GrowthBookView"}
    assert members == {"Exposure", "SegmentView", "GrowthBookView"}
    assert {"event", "messageId", "anonymousId", "properties"} <= set(shapes["SegmentView"]["properties"])
    assert {"key", "hashValue"} <= set(shapes["GrowthBookResult"]["properties"])


def test_schema__over_http__is_open_and_its_page_loads_nothing_from_elsewhere(nobody: Api) -> None:
    assert nobody.get("/api/schema/").status_code == 200

    page = nobody.get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    assert "https://cdn" not in page
