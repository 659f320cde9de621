"""The operations of the fast path in the API description: no view knows them, so a hook of drf-spectacular adds them.

The native ones are made from the dataclasses that are sent; those of other protocols say what their clients rely on.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from catalog_experiments.api.renderers import PROBLEM_MEDIA_TYPE
from storefront.assignments import Assignments, AssignmentsRequest, RecordedAssignments

TAG = "decisions"
SECURITY: list[dict[str, list[str]]] = [{"ApiKey": []}, {"BearerKey": []}]
SCOPES = ["evaluate"]
JSON = "application/json"
PLAIN = {str: "string", int: "integer", bool: "boolean", float: "number"}
TAG_HEADER = {"ETag": {"description": "Hashes what was evaluated.", "schema": {"type": "string"}}}
IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "ETags you hold: 304 when one of them is still right.",
}
REFUSALS = {
    400: "The request can't be understood.",
    401: "No key, or one that is not valid.",
    403: "The key lacks the scope.",
    404: "There is no such experiment.",
    411: "The body comes in chunks instead of with its length.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "A field is wrong; errors names each.",
    429: "The key asks more often than it may; Retry-After says how long to wait.",
    500: "Something failed on our side, or no document is known yet.",
    503: "Keys or document can't be read at the moment.",
}
Schema = dict[str, Any]


def add_decisions(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Add the fast path's operations and shapes to the description, as drf-spectacular's hooks do."""
    schemas = result["components"].setdefault("schemas", {})
    for shape in (Assignments, RecordedAssignments, AssignmentsRequest):
        schema_of(shape, schemas)
    schemas.update(deepcopy(FOREIGN_SHAPES))
    result["paths"].update(deepcopy(PATHS))
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def schema_of(kind: Any, schemas: Schema) -> Schema:
    """Return the JSON schema of a type; a dataclass is added to `schemas` under its name and referred to."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        name = str(getattr(kind, "__name__", ""))
        if name not in schemas:
            schemas[name] = _object(kind, schemas)
        return _ref(name)
    if origin in (Union, types.UnionType):
        inner = [schema_of(one, schemas) for one in get_args(kind) if one is not types.NoneType]
        return {"oneOf": [*inner, {"type": "null"}]}
    if origin is Sequence:
        return {"type": "array", "items": schema_of(get_args(kind)[0], schemas)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": {}}
    return {"type": PLAIN[kind]}


def _object(kind: Any, schemas: Schema) -> Schema:
    hints = get_type_hints(kind)
    own = fields(kind)
    properties = {each.name: schema_of(hints[each.name], schemas) | _about(each) for each in own}
    required = [each.name for each in own if each.default is MISSING and each.default_factory is MISSING]
    return {"type": "object", "description": kind.__doc__, "properties": properties, "required": required}


def _about(each: Field[Any]) -> Schema:
    about = {name: each.metadata[name] for name in ("enum", "format") if name in each.metadata}
    return {"description": each.metadata["help"], **about}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: Schema, media_type: str = JSON) -> Schema:
    return {"content": {media_type: {"schema": schema}}}


def _operation(operation_id: str, summary: str, description: str, answer: Schema, refusals: Schema) -> Schema:
    return {
        "operationId": operation_id,
        "tags": [TAG],
        "summary": summary,
        "description": description,
        "security": SECURITY,
        "x-scopes": SCOPES,
        "responses": {"200": {"description": "Done.", **answer}, **refusals},
    }


def _refusals(codes: Sequence[int], schema: Schema, media_type: str = JSON) -> Schema:
    return {str(code): {"description": REFUSALS[code], **_content(schema, media_type)} for code in codes}


def _problems(*codes: int) -> Schema:
    return _refusals(codes, _ref("Problem"), PROBLEM_MEDIA_TYPE)


def _parameter(name: str, schema: Schema, description: str, *, place: str = "query", required: bool = False) -> Schema:
    return {"in": place, "name": name, "schema": schema, "description": description, "required": required}


def _described(properties: Schema, description: str, required: Sequence[str]) -> Schema:
    return {"type": "object", "description": description, "properties": properties, "required": list(required)}


TEXT: Schema = {"type": "string"}
SLUGS: Schema = {"type": "array", "items": TEXT}
FREE: Schema = {"type": "object", "additionalProperties": {}}
NOT_MODIFIED = {"304": {"description": "One of your ETags is still right; nothing is sent."}}
NATIVE_PARAMETERS = [
    _parameter("unit_id", {**TEXT, "minLength": 1, "maxLength": 255}, "The visitor's id.", required=True),
    _parameter("experiment", SLUGS, "Only these experiments; may be repeated."),
    _parameter("product", SLUGS, "Only the slots of these product pages; may be repeated."),
    _parameter("context", TEXT, 'Attributes for targeting, as a JSON object: {"country": "DE"}.'),
    IF_NONE_MATCH,
]
FOREIGN_SHAPES: Schema = {
    "OfrepRequest": _described(
        {
            "context": {
                **FREE,
                "properties": {"targetingKey": {**TEXT, "description": "The visitor's id."}},
                "required": ["targetingKey"],
            }
        },
        "An OpenFeature evaluation context.",
        ["context"],
    ),
    "OfrepItem": _described(
        {
            "key": {**TEXT, "description": "The experiment's slug."},
            "reason": {**TEXT, "enum": ["SPLIT", "STATIC", "TARGETING_MATCH", "DISABLED", "UNKNOWN"]},
            "variant": TEXT,
            "value": {**FREE, "description": "Always an object: the bundle's slug and the payload."},
            "metadata": FREE,
            "errorCode": {**TEXT, "description": "Instead of the value, when this experiment can't be evaluated."},
            "errorDetails": TEXT,
        },
        "One flag: an experiment as OpenFeature sees it.",
        ["key"],
    ),
    "OfrepBulk": _described(
        {"flags": {"type": "array", "items": _ref("OfrepItem")}, "metadata": FREE},
        "Every flag.",
        ["flags"],
    ),
    "OfrepError": _described(
        {"key": TEXT, "errorCode": TEXT, "errorDetails": TEXT}, "What was refused, in the protocol's own form.", []
    ),
    "GrowthBookPayload": _described(
        {
            "status": {"type": "integer"},
            "features": {**FREE, "description": "One feature per experiment, by its slug."},
            "experiments": {"type": "array", "items": FREE},
            "dateUpdated": {**TEXT, "format": "date-time"},
            "not_after": {**TEXT, "format": "date-time", "description": "Until when the payload may be used."},
        },
        "The published document as GrowthBook's SDKs read it.",
        ["status", "features", "dateUpdated"],
    ),
    "GrowthBookError": _described(
        {"status": {"type": "integer"}, "error": TEXT}, "A refusal as GrowthBook writes its own.", ["status", "error"]
    ),
}
_OFREP_ERROR = _ref("OfrepError")
_OFREP_BODY = {"requestBody": {"required": True, **_content(_ref("OfrepRequest"))}}
PATHS: Schema = {
    "/api/v1/catalog/assignments": {
        "get": _operation(
            "assignment_list",
            "Ask what a visitor gets",
            "Reads and never enrols: report the exposure when the slot is reached, or ask by POST then.",
            {"headers": TAG_HEADER, **_content(_ref("Assignments"))},
            NOT_MODIFIED | _problems(400, 401, 403, 429, 500, 503),
        )
        | {"parameters": NATIVE_PARAMETERS},
        "post": _operation(
            "assignment_record",
            "Decide and record the exposures",
            "For shops that render on the server: send it when the slot is reached, naming its product or experiment; "
            "without either every experiment counts as reached. Enrolled visitors are recorded, forced ones never. "
            "Safe to send again.",
            _content(_ref("RecordedAssignments")),
            _problems(400, 401, 403, 411, 413, 415, 422, 429, 500, 503),
        )
        | {"requestBody": {"required": True, **_content(_ref("AssignmentsRequest"))}},
    },
    "/ofrep/v1/evaluate/flags": {
        "post": _operation(
            "ofrep_evaluate_all",
            "Evaluate every experiment (OpenFeature)",
            "OFREP 0.3, bulk. The ETag hashes the evaluated answer; 304 is sent on POST too, as the protocol wants.",
            {"headers": TAG_HEADER, **_content(_ref("OfrepBulk"))},
            NOT_MODIFIED | _refusals((400, 401, 403, 411, 413, 429, 500, 503), _OFREP_ERROR),
        )
        | _OFREP_BODY
        | {"parameters": [IF_NONE_MATCH]},
    },
    "/ofrep/v1/evaluate/flags/{key}": {
        "post": _operation(
            "ofrep_evaluate",
            "Evaluate one experiment (OpenFeature)",
            "OFREP 0.3, single; the flag's key is the experiment's slug.",
            _content(_ref("OfrepItem")),
            _refusals((400, 401, 403, 404, 411, 413, 429, 500, 503), _OFREP_ERROR),
        )
        | _OFREP_BODY
        | {"parameters": [_parameter("key", TEXT, "The experiment's slug.", place="path", required=True)]},
    },
    "/api/features/{client_key}": {
        "get": _operation(
            "growthbook_payload",
            "Read the payload for GrowthBook SDKs",
            "The SDK decides in the shop's own process, as this server does. The address holds a client key.",
            {"headers": TAG_HEADER, **_content(_ref("GrowthBookPayload"))},
            NOT_MODIFIED | _refusals((400, 429, 500, 503), _ref("GrowthBookError")),
        )
        | {
            "security": [],
            "parameters": [
                _parameter("client_key", TEXT, "A client key, which is public.", place="path", required=True),
                IF_NONE_MATCH,
            ],
        },
    },
}
