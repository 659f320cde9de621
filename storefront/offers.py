"""What stands in the offer slot of a product page: a decision, or the shop's own baseline, turned into an offer.

A decision or payload that cannot be shown falls back to control, and that to no offer: the page itself never fails.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core import signing

from catalog_experiments import publication
from storefront import decisions, document, shelf
from storefront.decisions import Decision
from storefront.models import Product
from storefront.plans import Plan, parse

logger = logging.getLogger(__name__)

VALID_FOR = dt.timedelta(hours=24)
"""How long a promised price is honored, whatever happens to the experiment."""

MAX_COPY = 300  # characters; longer copy is a mistake, not an offer
PICTURE_WIDTH, USUAL_WIDTH = 372, 260
WIDTHS = {"teapot": 380, "saucer": 360, "plate": 360}
"""How wide a drawing is next to the others, where it is not as wide as usual."""

COPY_KEYS = ("headline", "body", "badge", "cta", "art")


class OfferBroken(Exception):
    """A bundle or payload that cannot be shown; the message says why."""


@dataclass(frozen=True)
class OfferItem:
    """One component of an offer, at its list price."""

    product: Product
    quantity: int

    @property
    def price_minor(self) -> int:
        """Return the list price of all its pieces in minor units."""
        return self.product.price_minor * self.quantity


@dataclass(frozen=True)
class Offer:
    """An offer as the page shows it; prices in minor units of `currency`."""

    bundle_slug: str
    title: str
    body: str
    badge: str
    cta: str
    art: str
    items: tuple[OfferItem, ...]
    price_minor: int
    currency: str

    @property
    def list_price_minor(self) -> int:
        """Return what the components cost one by one."""
        return sum(item.price_minor for item in self.items)

    @property
    def arrangement(self) -> tuple[tuple[str, int, int], ...]:
        """Return each piece's drawing, its left edge and width on a picture 400 wide; six pieces at most."""
        pieces = [item.product.art for item in self.items for _ in range(item.quantity)][:6]
        natural = [WIDTHS.get(art, USUAL_WIDTH) for art in pieces]
        scale = min(PICTURE_WIDTH / sum(natural), 170 / USUAL_WIDTH)
        widths = [int(width * scale) for width in natural]
        left = (400 - sum(widths)) // 2
        return tuple((art, left + sum(widths[:place]), widths[place]) for place, art in enumerate(pieces))

    @property
    def saving_minor(self) -> int:
        """Return what the offer saves, never below zero."""
        return max(self.list_price_minor - self.price_minor, 0)


@dataclass(frozen=True)
class Slot:
    """The offer slot of one page view: the decision behind it (None: no experiment there) and what it shows.

    `is_fallback` says that the decision could not be shown, so that what stands there is not the variant decided.
    """

    decision: Decision | None
    offer: Offer | None
    is_fallback: bool = False


def fill_slot(product: Product, decision: Decision | None) -> Slot:
    """Return what stands in the slot of a product's page. Never raises."""
    try:
        if decision is None or not decision.experiment:
            return Slot(decision, _baseline(product))
        return Slot(decision, build_offer(decision.bundle, decision.payload))
    except Exception:
        logger.exception("the offer on %s cannot be shown; falling back to control", product.slug)
        return Slot(decision, _control_offer(decision), is_fallback=True)


def build_offer(bundle: Mapping[str, Any] | None, payload: Mapping[str, Any]) -> Offer | None:
    """Turn a bundle of the document and a payload into an offer; None for a variant without offer.

    The payload may replace `headline`, `body`, `badge`, `cta` and `art`; other keys are for other shops.

    Raises:
        OfferBroken: unknown products, mixed currencies, or copy that is no short text.
    """
    if bundle is None:
        return None
    items = _items(bundle)
    copy = _copy(payload)
    whole = sum(item.price_minor for item in items)
    price = bundle.get("price_minor")
    return Offer(
        bundle_slug=str(bundle["slug"]),
        title=copy["headline"] or str(bundle["title"]),
        body=copy["body"] or str(bundle.get("description") or ""),
        badge=copy["badge"] or str(bundle.get("savings_copy") or ""),
        cta=copy["cta"] or "Add all to the basket",
        art=copy["art"],
        items=items,
        price_minor=whole if price is None else int(price),
        currency=items[0].product.currency,
    )


def promise(slot: Slot, *, now: dt.datetime, unit_id: str) -> dict[str, Any]:
    """Return the offer as a basket line keeps it: judged on and honored as this copy until `valid_until`.

    Raises:
        OfferBroken: the slot holds no offer.
    """
    if slot.offer is None:
        raise OfferBroken("there is no offer to promise")
    kept: dict[str, Any] = {
        "bundle": slot.offer.bundle_slug,
        "title": slot.offer.title,
        "components": [{"slug": item.product.slug, "quantity": item.quantity} for item in slot.offer.items],
        "price_minor": slot.offer.price_minor,
        "currency": slot.offer.currency,
        "valid_until": (now + VALID_FOR).isoformat(),
    }
    if slot.decision is not None and slot.decision.is_enrolled and not slot.is_fallback:
        kept |= {
            "experiment": slot.decision.experiment,
            "variant": slot.decision.variant_key,
            "document_version": slot.decision.document_version,
            "unit": unit_id,
        }
    return kept


def stamp_page(product: Product, slot: Slot, visitor_id: str) -> str:
    """Return a text for the page's form that says which version the visitor saw, and nothing of any experiment."""
    version = slot.decision.document_version if slot.decision is not None else 0
    return _signer(product, visitor_id).sign(str(version))


def decision_of_stamp(
    product: Product, stamp: str, visitor_id: str, context: Mapping[str, Any], present: Decision | None
) -> Decision | None:
    """Return the decision the visitor saw when the page was rendered, so that its price holds after a pause.

    `present` is the decision of this moment: returned when the stamp is of the same version, older than
    `VALID_FOR`, forged, or of a version no longer kept.
    """
    try:
        version = int(_signer(product, visitor_id).unsign(stamp, max_age=VALID_FOR))
    except (signing.BadSignature, ValueError):
        return present
    if version == 0 or (present is not None and present.document_version == version):
        return present
    plan = _past_plan(product, version)
    return present if plan is None else decisions.decide_with(plan, visitor_id, context)


def _past_plan(product: Product, version: int) -> Plan | None:
    try:
        snapshot = parse(publication.load_document(version))
    except Exception:
        logger.exception("document %s cannot be read again; the present offer stands", version)
        return None
    return decisions.find_plan(snapshot, product_slug=product.slug)


def _signer(product: Product, visitor_id: str) -> signing.TimestampSigner:
    # The product and the visitor are part of the salt: a stamp is worth nothing elsewhere.
    return signing.TimestampSigner(salt=f"storefront.offers:{product.slug}:{visitor_id}")


def _baseline(product: Product) -> Offer | None:
    found = publication.baseline_offer(product.slug)
    return None if found is None else build_offer(found["bundle"], found["payload"])


def _control_offer(decision: Decision | None) -> Offer | None:
    snapshot = document.reader().last_seen()
    if decision is None or snapshot is None or decision.experiment not in snapshot.plans:
        return None
    baseline = snapshot.plans[decision.experiment].control
    try:
        return build_offer(baseline.bundle, baseline.payload)
    except Exception:
        logger.exception("experiment %s: not even control can be shown; the page has no offer", decision.experiment)
        return None


def _items(bundle: Mapping[str, Any]) -> tuple[OfferItem, ...]:
    wanted = {str(component["slug"]): int(component.get("quantity", 1)) for component in bundle["components"]}
    known = shelf.by_slug(wanted)
    if not wanted or len(known) < len(wanted):
        raise OfferBroken(f"bundle {bundle['slug']} names unknown products: {sorted(set(wanted) - set(known))}")
    if not all(product.is_available for product in known.values()):
        raise OfferBroken(f"bundle {bundle['slug']} is sold out")
    if len({product.currency for product in known.values()}) > 1:
        raise OfferBroken(f"bundle {bundle['slug']} mixes currencies")
    return tuple(OfferItem(known[slug], quantity) for slug, quantity in wanted.items())


def _copy(payload: Mapping[str, Any]) -> dict[str, str]:
    copy = {key: payload.get(key, "") for key in COPY_KEYS}
    for key, text in copy.items():
        if not isinstance(text, str) or len(text) > MAX_COPY:
            raise OfferBroken(f"the payload's {key} is not a text of at most {MAX_COPY} characters")
    return copy
