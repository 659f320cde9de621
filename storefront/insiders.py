"""Insiders: staff, and whoever opened a signed link. They may see what shoppers don't, and are never counted.

They may force a variant for the session. A force link shows one variant, and nothing else that shoppers don't see.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from django.core import signing
from django.http import HttpRequest

from catalog_experiments import publication

LINK_VALID_FOR = dt.timedelta(hours=8)
FORCED_FOR = dt.timedelta(hours=24)
"""How long a browser stays uncounted after it opened a force link."""

SALT = "storefront.overlay"
UNTIL, FORCED, HIDDEN = "overlay_until", "overlay_forced", "overlay_hidden"  # keys of the session
UNCOUNTED_UNTIL = "forced_until"


@dataclass(frozen=True)
class Access:
    """Somebody who is not counted. `valid_until` is None for staff; `forced` maps experiment slug to variant key.

    Who came by a force link alone may not inspect: there is no panel, and no other variant to choose.
    """

    valid_until: dt.datetime | None
    forced: Mapping[str, str]
    is_hidden: bool
    may_inspect: bool = True


def access_of(request: HttpRequest, *, now: dt.datetime) -> Access | None:
    """Return the right of whoever asks, or None for a shopper."""
    session = request.session
    forced, is_hidden = session.get(FORCED, {}), session.get(HIDDEN, False)
    if request.user.is_active and request.user.is_staff:
        return Access(None, forced, is_hidden)
    if (until := _moment(session.get(UNTIL))) and until > now:
        return Access(until, forced, is_hidden)
    if (until := _moment(session.get(UNCOUNTED_UNTIL))) and until > now:
        return Access(until, forced, is_hidden=True, may_inspect=False)
    return None


def sign_link(forced: Mapping[str, str]) -> str:
    """Return a token that opens the overlay for `LINK_VALID_FOR`, with these variants forced."""
    return signing.dumps({"forced": dict(forced)}, salt=SALT, compress=True)


def open_link(request: HttpRequest, token: str) -> bool:
    """Let whoever opened a signed link see the overlay in this session; False when the link is forged or too old."""
    try:
        link = signing.loads(token, salt=SALT, max_age=LINK_VALID_FOR)
        signed_at = dt.datetime.fromtimestamp(signing.b62_decode(token.rsplit(":", 2)[1]), dt.UTC)
    except (signing.BadSignature, ValueError, IndexError):
        return False
    request.session[UNTIL] = (signed_at + LINK_VALID_FOR).isoformat()
    request.session[FORCED] = link["forced"]
    request.session[HIDDEN] = False
    return True


def open_force_link(request: HttpRequest, token: str, *, now: dt.datetime) -> bool:
    """Show whoever opened a force link its variant in this session; False when the link is forged or too old."""
    link = publication.read_force_link(token)
    if link is None:
        return False
    force(request, link.experiment, link.variant_key)
    request.session[UNCOUNTED_UNTIL] = (now + FORCED_FOR).isoformat()
    return True


def force(request: HttpRequest, experiment: str, variant_key: str) -> None:
    """Show a variant for the rest of the session; an empty key goes back to the visitor's own."""
    forced = {slug: key for slug, key in request.session.get(FORCED, {}).items() if slug != experiment}
    request.session[FORCED] = {**forced, experiment: variant_key} if variant_key else forced


def hide(request: HttpRequest, *, is_hidden: bool) -> None:
    """Hide or show the panel in this session; the visitor stays uncounted either way."""
    request.session[HIDDEN] = is_hidden


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
