"""Errors as RFC 9457 problems: one shape under /api/, whoever refuses, with nothing of the inside in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import loader
from django.views import defaults
from rest_framework.request import Request

from catalog_experiments.api.renderers import PROBLEM_MEDIA_TYPE, CompactJSONRenderer

API_PREFIX = "/api/"
UNAVAILABLE = "The database is busy or away; nothing was changed. Try again shortly."
RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True)
class FieldProblem:
    """One field that is wrong: its path (`variants[0].key`), a stable code, and what to do about it."""

    field: str
    code: str
    detail: str


@dataclass(frozen=True)
class Problem:
    """One refusal: HTTP status, a stable code for programs, a sentence for people, and members of its own."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request: HttpRequest | Request | None) -> dict[str, Any]:
        """Return the members of the problem, with the id of the request when it has one."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.members,
        }
        if self.errors:
            body["errors"] = [{"field": one.field, "code": one.code, "detail": one.detail} for one in self.errors]
        if request is not None and (request_id := request.META.get("HTTP_X_REQUEST_ID")):
            body["request_id"] = request_id
        return body

    def response(self, request: HttpRequest | Request | None) -> HttpResponse:
        """Return the problem as an answer of its own media type."""
        content = CompactJSONRenderer().render(self.body(request))
        headers = {**self.headers, "Cache-Control": "no-store"}
        return HttpResponse(content, status=self.status, content_type=PROBLEM_MEDIA_TYPE, headers=headers)


TOO_MANY = Problem(429, "too_many_requests", "This key asks more often than it may; wait as Retry-After says.")


def flatten(detail: Any, path: str = "") -> Iterator[FieldProblem]:
    """Yield each error of a DRF validation detail with the path of its field; the body itself is ``body``.

    Examples:
        >>> list(flatten({"variants": [{}, {"key": ["Too long."]}]}))
        [FieldProblem(field='variants[1].key', code='invalid', detail='Too long.')]
    """
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from flatten(inner, path if name == "non_field_errors" else _joined(path, name))
    elif isinstance(detail, list | tuple):
        for index, inner in enumerate(detail):
            yield from flatten(inner, path if isinstance(inner, str) else _joined(path, index))
    else:
        yield FieldProblem(path or "body", getattr(detail, "code", "invalid"), str(detail))


def _joined(path: str, name: object) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else str(name)


def is_api(request: HttpRequest) -> bool:
    """Say whether the request speaks to the API, so that even the framework's own errors are problems."""
    return request.path.startswith(API_PREFIX)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a request that Django itself refuses: unknown host, broken address, suspicious input."""
    if not is_api(request):
        return defaults.bad_request(request, exception)
    return Problem(400, "bad_request", "The request can't be understood.").response(request)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a refusal from outside the views."""
    if not is_api(request):
        return defaults.permission_denied(request, exception)
    return Problem(403, "permission_denied", "This is not allowed.").response(request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer an address that leads nowhere."""
    if not is_api(request):
        return defaults.page_not_found(request, exception)
    return Problem(404, "not_found", "There is nothing at this address; /api/schema/ lists all.").response(request)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer a fault of ours: the log holds the rest, found by the request id.

    A database that is away is no fault of the page: 503 tells browsers, caches and monitors to come back.
    """
    if isinstance(sys.exc_info()[1], (InterfaceError, OperationalError)):
        return _unavailable(request)
    if not is_api(request):
        return defaults.server_error(request)
    detail = "Something failed on our side; give the request id when you report it."
    return Problem(500, "server_error", detail).response(request)


def _unavailable(request: HttpRequest) -> HttpResponseBase:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS), "Cache-Control": "no-store"}
    if is_api(request):
        return Problem(503, "unavailable", UNAVAILABLE, headers=headers).response(request)
    # Without the request, whose session may lie in the database; a form is not sent again by a link.
    page = loader.render_to_string("503.html", {"again": request.get_full_path() if request.method == "GET" else ""})
    return HttpResponse(page, status=503, headers=headers)
