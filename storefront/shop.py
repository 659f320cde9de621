"""Basket and checkout of the small real shop, and the report of its orders to the experiments.

An order commits by itself; telemetry hears of it afterwards and may fail without the shopper noticing: the row stays
unreported and the next report tries again.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from catalog_experiments import intake
from storefront.models import Basket, BasketLine, Product, ShopOrder
from storefront.offers import Offer
from storefront.pricing import split_price

logger = logging.getLogger(__name__)

MAX_QUANTITY = 20
REFERENCE_ALPHABET = "ACDEFGHJKLMNPQRTUVWXY34679"  # no letters that look like digits


class BasketEmpty(Exception):
    """There is nothing to order."""


@dataclass(frozen=True)
class PricedLine:
    """A basket line at the price of this moment.

    `has_expired` means that its offer ran out: its components are back at their list prices. `components` are pieces
    per line quantity, `(product, pieces)`; a plain line has one.
    """

    line: BasketLine
    title: str
    components: tuple[tuple[Product, int], ...]
    unit_price_minor: int
    has_expired: bool

    @property
    def total_minor(self) -> int:
        """Return the price of the whole line in minor units."""
        return self.line.quantity * self.unit_price_minor

    @property
    def is_offer(self) -> bool:
        """Say whether the line is sold as the offer promised."""
        return bool(self.line.offer) and not self.has_expired


@dataclass(frozen=True)
class Review:
    """A basket as it stands now, money in minor units of `currency`."""

    lines: tuple[PricedLine, ...]
    currency: str

    @property
    def total_minor(self) -> int:
        """Return what the basket costs."""
        return sum(line.total_minor for line in self.lines)

    @property
    def pieces(self) -> int:
        """Return how many things lie in it, an offer counting once."""
        return sum(line.line.quantity for line in self.lines)


@dataclass(frozen=True)
class ReportResult:
    """How many orders telemetry took, and how many it could not take yet."""

    reported: int
    failed: int


def add_product(visitor_id: str, product: Product, *, now: dt.datetime) -> BasketLine:
    """Put one piece of a product in the visitor's basket."""
    return _add(visitor_id, product, offer={}, price_minor=product.price_minor, now=now)


def add_offer(
    visitor_id: str, product: Product, offer: Offer, promise: Mapping[str, Any], *, now: dt.datetime
) -> BasketLine:
    """Put an offer in the visitor's basket with the promise that is honored at checkout."""
    return _add(visitor_id, product, offer=dict(promise), price_minor=offer.price_minor, now=now)


@transaction.atomic
def _add(visitor_id: str, product: Product, *, offer: dict[str, Any], price_minor: int, now: dt.datetime) -> BasketLine:
    basket, _ = Basket.objects.get_or_create(visitor_id=visitor_id, defaults={"updated_at": now})
    basket = Basket.objects.select_for_update().get(pk=basket.pk)
    basket.updated_at = now
    basket.save(update_fields=["updated_at"])
    same = next((line for line in basket.lines.filter(product=product) if _is_same(line, offer, price_minor)), None)
    if same is None:
        return basket.lines.create(product=product, unit_price_minor=price_minor, offer=offer, added_at=now)
    same.quantity = min(same.quantity + 1, MAX_QUANTITY)
    same.offer = offer
    same.save(update_fields=["quantity", "offer"])
    return same


def _is_same(line: BasketLine, offer: Mapping[str, Any], price_minor: int) -> bool:
    keys = ("bundle", "experiment", "variant", "components")
    return line.unit_price_minor == price_minor and all(line.offer.get(key) == offer.get(key) for key in keys)


def set_quantity(visitor_id: str, line_id: UUID, quantity: int) -> None:
    """Change how many of a line the visitor takes; 0 removes it. Lines of other baskets are left alone."""
    mine = BasketLine.objects.filter(pk=line_id, basket__visitor_id=visitor_id)
    if quantity <= 0:
        mine.delete()
    else:
        mine.update(quantity=min(quantity, MAX_QUANTITY))


def review(visitor_id: str, *, now: dt.datetime) -> Review:
    """Return the visitor's basket at the prices of this moment; an empty one when there is none."""
    lines = list(BasketLine.objects.filter(basket__visitor_id=visitor_id).select_related("product"))
    slugs = {part["slug"] for line in lines for part in line.offer.get("components", ())}
    products = Product.objects.by_slug(list(slugs))
    priced = tuple(_price(line, products, now) for line in lines)
    return Review(priced, lines[0].product.currency if lines else "EUR")


def pieces_in_basket(visitor_id: str) -> int:
    """Return how many things lie in the visitor's basket."""
    return sum(BasketLine.objects.filter(basket__visitor_id=visitor_id).values_list("quantity", flat=True))


def _price(line: BasketLine, products: Mapping[str, Product], now: dt.datetime) -> PricedLine:
    if not line.offer:
        return PricedLine(line, line.product.name, ((line.product, 1),), line.product.price_minor, has_expired=False)
    parts = tuple(
        (products[part["slug"]], int(part["quantity"])) for part in line.offer["components"] if part["slug"] in products
    ) or ((line.product, 1),)
    has_expired = now >= dt.datetime.fromisoformat(line.offer["valid_until"])
    if not has_expired:
        return PricedLine(line, line.offer["title"], parts, line.unit_price_minor, has_expired=False)
    at_list = sum(product.price_minor * pieces for product, pieces in parts)
    return PricedLine(line, line.offer["title"], parts, at_list, has_expired=True)


@transaction.atomic
def place_order(
    visitor_id: str, delivery: Mapping[str, str], *, now: dt.datetime, is_internal: bool = False
) -> ShopOrder:
    """Turn the visitor's basket into an order and empty it, in one transaction; telemetry hears of it later.

    Raises:
        BasketEmpty: nothing lies in the basket, also when the same form was sent twice.
    """
    basket = Basket.objects.select_for_update().filter(visitor_id=visitor_id).first()
    bought = review(visitor_id, now=now)
    if basket is None or not bought.lines:
        raise BasketEmpty("There is nothing in the basket to order.")
    order = ShopOrder.objects.create(
        reference=_reference(),
        visitor_id=visitor_id,
        unit_id=visitor_id,
        placed_at=now,
        currency=bought.currency,
        total_minor=bought.total_minor,
        lines=[entry for line in bought.lines for entry in _order_lines(line)],
        offers=[dict(line.line.offer) for line in bought.lines if line.is_offer],
        delivery=dict(delivery),
        is_internal=is_internal,
    )
    basket.lines.all().delete()
    basket.last_order, basket.updated_at = order, now
    basket.save(update_fields=["last_order", "updated_at"])
    return order


def last_order(visitor_id: str) -> ShopOrder | None:
    """Return the order this visitor's basket became last, or None."""
    basket = Basket.objects.filter(visitor_id=visitor_id).select_related("last_order").first()
    return None if basket is None else basket.last_order


def order_of(visitor_id: str, reference: str) -> ShopOrder | None:
    """Return the order with this reference if this visitor placed it, else None."""
    return ShopOrder.objects.filter(reference=reference, visitor_id=visitor_id).first()


def _reference() -> str:
    return "KK-" + "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(10))


def _order_lines(priced: PricedLine) -> list[dict[str, Any]]:
    # A piece has a whole number of cents: the price of an offer falls on its pieces, equal ones share a line.
    pieces = [product for product, count in priced.components for _ in range(count)]
    prices = split_price(priced.unit_price_minor, [product.price_minor for product in pieces])
    counted = Counter(zip(pieces, prices, strict=True))
    return [
        {
            "slug": product.slug,
            "name": product.name,
            "quantity": count * priced.line.quantity,
            "price_minor": price,
            "cost_minor": product.cost_minor,
        }
        for (product, price), count in counted.items()
    ]


def report(orders: Sequence[ShopOrder], *, now: dt.datetime) -> ReportResult:
    """Tell telemetry of orders and mark those it took. Never raises; what fails stays unreported.

    An order that telemetry refuses for good is marked too, with its reason: asking again would not help. Orders of
    staff are told as such: telemetry keeps them and never counts them.
    """
    due = [order for order in orders if order.reported_at is None]
    if not due:
        return ReportResult(0, 0)
    try:
        with transaction.atomic():
            for order, result in zip(due, intake.record_orders([_event(order) for order in due], now=now), strict=True):
                _settle(order, result, now)
    except Exception:
        logger.exception("%s orders could not be reported to telemetry; they will be again", len(due))
        return ReportResult(0, len(due))
    return ReportResult(len(due), 0)


def report_due(*, now: dt.datetime, limit: int = 20) -> ReportResult:
    """Report orders that telemetry missed, oldest first, `limit` at most. Never raises."""
    try:
        missed = list(ShopOrder.objects.unreported_before(now).order_by("placed_at")[:limit])
    except Exception:
        logger.exception("unreported orders could not be read")
        return ReportResult(0, 0)
    return report(missed, now=now)


def _settle(order: ShopOrder, result: intake.ItemResult, now: dt.datetime) -> None:
    is_refused = result.outcome in {"rejected", "conflict"}
    order.reported_at, order.unit_id = now, ""
    order.report_error = f"{result.code}: {result.detail}" if is_refused else ""
    order.save(update_fields=["reported_at", "unit_id", "report_error"])
    if is_refused:
        logger.error("telemetry refused order %s: %s", order.reference, order.report_error)


def _event(order: ShopOrder) -> intake.OrderEvent:
    return intake.OrderEvent(
        order_ref=order.reference,
        placed_at=order.placed_at,
        currency=order.currency,
        unit_id=order.unit_id or None,
        lines=tuple(
            intake.OrderLine(line["slug"], line["quantity"], line["price_minor"], line["cost_minor"])
            for line in order.lines
        ),
        accepted_bundles=tuple(dict.fromkeys(offer["bundle"] for offer in order.offers)),
        offers=tuple(_offer_taken(offer) for offer in order.offers if "experiment" in offer),
        traffic="staff" if order.is_internal else None,
    )


def _offer_taken(offer: Mapping[str, Any]) -> intake.OfferTaken:
    return intake.OfferTaken(
        experiment=offer["experiment"],
        variant=offer["variant"],
        bundle=offer["bundle"],
        document_version=offer["document_version"],
        valid_until=dt.datetime.fromisoformat(offer["valid_until"]),
        components=tuple(offer["components"]),
    )
