"""JSON out: one renderer for every caller, whatever its Accept header asks for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

PROBLEM_MEDIA_TYPE = "application/problem+json"


class CompactJSONRenderer(BaseRenderer):
    """Write JSON in UTF-8 without spaces, keys in the order given, so that equal answers are equal bytes."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON has no charset parameter: it is UTF-8

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the bytes of `data`; nothing at all for None."""
        if data is None:
            return b""
        try:
            return orjson.dumps(data)
        except orjson.JSONEncodeError:
            # A payload written by hand in the database may hold a whole number past 64 bits.
            return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


class OneRenderer(BaseContentNegotiation):
    """Answer in JSON always: a caller that asks for something else can still read the problem."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return the parser whose media type the body declares; None answers 415."""
        declared = str(request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == declared), None)

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer and its media type."""
        first = next(iter(renderers))
        return first, str(first.media_type)
