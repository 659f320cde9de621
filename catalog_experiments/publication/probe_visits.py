"""How the system's own visits to a product page are told apart: a signed header, answered with the decision.

Such a visit is decided like anybody's and is never counted; without the header a page says nothing about experiments.
"""

from __future__ import annotations

from datetime import timedelta

from django.core import signing

REQUEST_HEADER = "Smplat-Probe"
ANSWER_HEADER = "Smplat-Decision"
"""Holds a JSON object: `experiment` and `variant` ('' where none runs on the page) and the `document` version."""

VALID_FOR = timedelta(minutes=5)
_SALT = "catalog_experiments.probe"
_SUBJECT = "probe"


def sign_probe() -> str:
    """Return a value for the request's header, good for `VALID_FOR`."""
    return signing.TimestampSigner(salt=_SALT).sign(_SUBJECT)


def is_probe(value: str | None) -> bool:
    """Say whether a request's header was signed here, lately."""
    if not value:
        return False
    try:
        return signing.TimestampSigner(salt=_SALT).unsign(value, max_age=VALID_FOR) == _SUBJECT
    except signing.BadSignature:
        return False
