"""Conditional requests: strong ETags on what is read, If-Match on what is changed."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from catalog_experiments.api.renderers import CompactJSONRenderer

TAG = re.compile(r'(W/)?"([^"]*)"')
VERSION = re.compile(r"(\d{1,9})-[0-9a-f]{32}", re.ASCII)
NO_VERSION = -1  # matches no row: the domain answers with the present version


class PreconditionRequired(APIException):
    """The site wants every change to name the version it was made on."""

    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_code = "if_match_required"
    default_detail = "Send If-Match with the ETag of the experiment as you read it."


def entity_tag(body: bytes, *, link: str = "", lock_version: int | None = None) -> str:
    """Return the strong ETag of a body and its Link header: `"<hash>"`, or `"<lock version>-<hash>"`."""
    digest = hashlib.blake2b(body + link.encode(), digest_size=16).hexdigest()
    return f'"{digest}"' if lock_version is None else f'"{lock_version}-{digest}"'


def readable(request: Request, data: Any, *, link: str = "", lock_version: int | None = None) -> HttpResponse:
    """Answer a read: the body with its ETag, or 304 when the caller holds it already."""
    body = CompactJSONRenderer().render(data)
    tag = entity_tag(body, link=link, lock_version=lock_version)
    held = _holds(str(request.headers.get("If-None-Match", "")), tag)
    response = HttpResponse(status=304) if held else HttpResponse(body, content_type="application/json")
    if held:
        del response.headers["Content-Type"]
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    if link:
        response.headers["Link"] = link
    patch_vary_headers(response, ["X-API-Key", "Authorization"])
    return response


def _holds(header: str, tag: str) -> bool:
    return header.strip() == "*" or any(f'"{opaque}"' == tag for _, opaque in TAG.findall(header))


def expected_version(request: Request) -> int | None:
    """Return the lock version that If-Match names; None when any will do.

    A weak tag, or one we never made, matches nothing. Of several the newest counts: whoever lists it has seen it.

    Raises:
        PreconditionRequired: no If-Match where `API_REQUIRE_IF_MATCH` is on.
    """
    header = request.headers.get("If-Match")
    if header is None and settings.API_REQUIRE_IF_MATCH:
        raise PreconditionRequired
    if header is None or header.strip() == "*":
        return None
    strong = [VERSION.fullmatch(opaque) for weak, opaque in TAG.findall(header) if not weak]
    return max((int(match.group(1)) for match in strong if match), default=NO_VERSION)
