"""One id for each request: taken from the caller or made here, sent back, and written on every log line."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponseBase

HEADER = "X-Request-ID"
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)


class RequestMiddleware:
    """Give the request its id for as long as it lasts."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Remember the next step."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the request's id in the header; an unfit id of the caller is replaced."""
        offered = request.headers.get(HEADER, "")
        request_id = offered if ACCEPTABLE.fullmatch(offered) else uuid.uuid4().hex
        request.META["HTTP_X_REQUEST_ID"] = request_id  # what apps read: they import nothing from here
        token = current_request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            current_request_id.reset(token)
        response.headers.setdefault(HEADER, request_id)
        return response
