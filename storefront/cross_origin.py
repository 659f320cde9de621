"""Which pages of other origins may talk to the decision and exposure routes: none but those a setting names exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

EXPOSED = "ETag, Retry-After, RateLimit, RateLimit-Policy, X-Request-ID"
ALLOWED_HEADERS = "Authorization, X-API-Key, Content-Type, If-None-Match, X-Request-ID"
ALLOWED_METHODS = "GET, POST"
REMEMBERED_SECONDS = 600
"""How long a browser may hold on to the answer of a preflight; closing an origin takes that long to be seen."""


def is_preflight(meta: Mapping[str, Any]) -> bool:
    """Say whether a browser asks beforehand what a page of another origin may do."""
    return (
        meta.get("REQUEST_METHOD") == "OPTIONS"
        and "HTTP_ORIGIN" in meta
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in meta
    )


def grant(meta: Mapping[str, Any], *, is_public: bool = False) -> dict[str, str]:
    """Return the headers that let the page read the answer; none for an origin that is not on the list.

    `is_public` opens the route to every origin: its address is its key, and anybody could fetch it from anywhere.
    """
    if is_public:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
    origin = meta.get("HTTP_ORIGIN")
    if origin is None or origin not in settings.STOREFRONT_ALLOWED_ORIGINS:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED}


def grant_preflight(meta: Mapping[str, Any], *, is_public: bool = False) -> dict[str, str]:
    """Return the headers that answer a preflight; none for an origin that is not on the list."""
    granted = grant(meta, is_public=is_public)
    if not granted:
        return {}
    return {
        "Access-Control-Allow-Origin": granted["Access-Control-Allow-Origin"],
        "Access-Control-Allow-Methods": ALLOWED_METHODS,
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": str(REMEMBERED_SECONDS),
    }
