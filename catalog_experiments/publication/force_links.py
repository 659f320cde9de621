"""Signed links for quality assurance: whoever opens one sees a variant of one experiment, and is never counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing

LINK_VALID_FOR = timedelta(days=7)
"""How old a link may be when it is opened."""

_SALT = "catalog_experiments.force"


@dataclass(frozen=True, slots=True)
class ForcedVariant:
    """What a link shows: the variant `variant_key` of the experiment with this slug."""

    experiment: str
    variant_key: str


def sign_force_link(experiment: str, variant_key: str) -> str:
    """Return a token for `?force=` on the experiment's product page."""
    return signing.dumps([experiment, variant_key], salt=_SALT)


def read_force_link(token: str) -> ForcedVariant | None:
    """Return what a token shows; None for one that is forged, changed, or older than `LINK_VALID_FOR`."""
    try:
        experiment, variant_key = signing.loads(token, salt=_SALT, max_age=LINK_VALID_FOR)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return ForcedVariant(str(experiment), str(variant_key))


def force_address(product_slug: str, experiment: str, variant_key: str) -> str:
    """Return the address to open: the product page of the shop, with the token."""
    token = sign_force_link(experiment, variant_key)
    return f"{settings.STOREFRONT_BASE_URL}/products/{product_slug}?force={token}"
