"""Who is looking: a random first-party id, and whether this look may count."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from catalog_experiments import intake

COOKIE = "visitor"
COOKIE_SECONDS = 400 * 24 * 3600  # the longest browsers keep a cookie
VALID_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
SEGMENTS = ("device", "country")
"""The attributes that are recorded with an exposure; no other one is stored."""

LONGEST_SEGMENT = 100


@dataclass(frozen=True)
class Visitor:
    """One visitor of this request. `context` holds the attributes that targeting may use."""

    id: str
    is_new: bool
    is_bot: bool
    context: Mapping[str, str]


def visitor_of(request: HttpRequest) -> Visitor:
    """Return who asks: the id in the cookie, or a new random one when there is none or it is not ours."""
    known = request.COOKIES.get(COOKIE, "")
    is_known = VALID_ID.fullmatch(known) is not None
    return Visitor(
        id=known if is_known else secrets.token_urlsafe(18),
        is_new=not is_known,
        is_bot=intake.is_bot(request.headers.get("User-Agent", ""), tuple(settings.TELEMETRY_BOT_WORDS)),
        context=_context(request),
    )


def segments_of(context: Mapping[str, Any]) -> dict[str, str] | None:
    """Return what of a visitor's attributes tells results apart; None when nothing does. What is no short text is left.

    >>> segments_of({"device": "mobile", "country": "", "plan": "gold"}), segments_of({"device": 5})
    ({'device': 'mobile'}, None)
    """
    found = {name: text for name in SEGMENTS if isinstance(text := context.get(name), str) and _is_short(text)}
    return found or None


def remember(response: HttpResponseBase, visitor: Visitor) -> None:
    """Set the cookie of a new visitor, readable by this shop's server alone; bots get none."""
    if visitor.is_new and not visitor.is_bot:
        response.set_cookie(
            COOKIE,
            visitor.id,
            max_age=COOKIE_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def bot_unit(request: HttpRequest) -> str:
    """Return the unit id under which a bot is known: one per name of a machine, however often it comes."""
    name = request.headers.get("User-Agent", "").encode(errors="replace")
    return f"bot-{hashlib.blake2b(name, digest_size=12).hexdigest()}"


def is_prefetch(request: HttpRequest) -> bool:
    """Say whether the browser only fetches ahead: nobody has reached anything yet."""
    purpose = request.headers.get("Sec-Purpose", "") + request.headers.get("Purpose", "")
    return "prefetch" in purpose or "prerender" in purpose


def _is_short(text: str) -> bool:
    return 0 < len(text) <= LONGEST_SEGMENT and text.isprintable()


def _context(request: HttpRequest) -> Mapping[str, str]:
    language = request.headers.get("Accept-Language", "").split(",")[0].split(";")[0].strip().lower()
    is_mobile = "mobi" in request.headers.get("User-Agent", "").lower()
    return {"language": language, "device": "mobile" if is_mobile else "desktop"}
