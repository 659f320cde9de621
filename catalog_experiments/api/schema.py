"""How the API describes itself: one decorator for an operation, and the key as its security scheme."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from catalog_experiments.api.renderers import PROBLEM_MEDIA_TYPE
from catalog_experiments.api.serializers.problems import ProblemSerializer

REFUSALS = {
    400: "The request can't be understood: broken JSON, or a query parameter that is unknown or malformed.",
    401: "No key, or one that is not valid.",
    403: "The key lacks the scope.",
    404: "There is no such thing.",
    405: "The address does not answer this method.",
    409: "The present state forbids it: an illegal move, a duplicate, or a failed preflight.",
    411: "The body comes in chunks instead of with its length.",
    412: "It changed since the version named in If-Match.",
    413: "The body is too large.",
    415: "The body is not application/json in UTF-8.",
    422: "A field is wrong; errors names each.",
    428: "If-Match is required here.",
    429: "The key asks more often than it may; Retry-After says how long to wait.",
    503: "The database is busy or away; nothing was changed.",
}
ALWAYS = (400, 401, 403, 405, 429, 503)
WITH_BODY = (411, 413, 415, 422)

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description='The ETag of what you read; "*" for any version.'
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="ETags you hold: 304 when one of them is still right."
)
RATE_LIMIT = (
    OpenApiParameter(
        "RateLimit-Policy",
        str,
        OpenApiParameter.HEADER,
        response=True,
        description="How many calls a key has (q) in a window of so many seconds (w); absent without a limit.",
    ),
    OpenApiParameter(
        "RateLimit",
        str,
        OpenApiParameter.HEADER,
        response=True,
        description="How many calls are left (r), and in how many seconds the window ends (t).",
    ),
    OpenApiParameter(
        "Retry-After", int, OpenApiParameter.HEADER, response=[429, 503], description="How many seconds to wait."
    ),
)


def operation(
    operation_id: str,
    *,
    tag: str,
    summary: str,
    answer: Any,
    status: int = 200,
    body: Any = None,
    refusals: Iterable[int] = (),
    parameters: Iterable[OpenApiParameter] = (),
    description: str | None = None,
) -> Callable[[Any], Any]:
    """Describe one method of a view; `refusals` adds to those every operation has. `answer` None is an empty body."""
    known = sorted({*ALWAYS, *refusals, *(WITH_BODY if body is not None else ())})
    problems = {
        (code, PROBLEM_MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description=REFUSALS[code]) for code in known
    }
    return extend_schema(
        operation_id=operation_id,
        tags=[tag],
        summary=summary,
        description=description,
        request=body,
        parameters=[*parameters, *RATE_LIMIT],
        responses={status: OpenApiResponse(answer, description="Done."), **problems},
        filters=False,
    )


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its registration has no types
    """Two spellings of one key: a header of its own, or a bearer token."""

    target_class = "catalog_experiments.api.authentication.ApiKeyAuthentication"
    name = ["ApiKey", "BearerKey"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        """Return the schemes as alternatives; together in one they would both be required."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        """Return both schemes."""
        issued = "A key made by `manage.py issue_api_key` or in the admin, with the scopes of the operation."
        return [
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": issued},
            {"type": "http", "scheme": "bearer", "description": issued},
        ]
