"""Orders of the make-believe shop, one after another: their lines, what came of them, and what they say of bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.benchmarks.telemetry import binary
from tests.benchmarks.telemetry.shop import Slot

INTO = """catalog_checkout_orders (id, order_ref, unit, placed_at, recorded_at, revised_at, revenue_minor, margin_minor,
    refunded_minor, currency, lines, offers, status, cancelled_at, source, content_digest)"""
OUTCOMES_INTO = "catalog_bundle_order_outcomes (id, order_id, bundle_id, accepted)"

HOUR = 3_600 * 1_000_000
BEGINS, OUTCOME_BEGINS = binary.columns(16), binary.columns(4)
NO_OFFERS, CHECKOUT = binary.document(b"[]"), binary.text("checkout")
CURRENCIES = {name: binary.text(name) for name in ("EUR", "USD", "GBP")}
STATUSES = {name: binary.text(name) for name in ("paid", "confirmed", "pending", "cancelled")}
SHELF = 200
"""Goods that belong to no bundle."""


@dataclass(frozen=True, slots=True)
class Goods:
    """A product and its money in minor units; a cost of None is unknown."""

    slug: str
    price: int
    cost: int | None

    def line(self, quantity: int, returned: int = 0) -> str:
        """Return an order's line as it is stored."""
        came_back = f', "returned": {returned}' if returned else ""
        cost = "null" if self.cost is None else self.cost
        return (
            f'{{"slug": "{self.slug}", "quantity": {quantity}, "price_minor": {self.price}, '
            f'"cost_minor": {cost}{came_back}}}'
        )


@dataclass(frozen=True)
class Page:
    """The goods of a product page with an experiment: its own product, and a part for each bundle."""

    anchor: Goods
    parts: Sequence[Goods]
    bundle_ids: Sequence[bytes]

    @classmethod
    def of(cls, slot: Slot) -> Page:
        """Return the goods of a slot; on every tenth page the product's cost is unknown."""
        number = slot.number
        anchor = Goods(f"product-{number}", 2_400, None if number % 10 == 8 else 1_300)
        parts = [Goods(f"part-{number}-{place}", 900, 500) for place in range(len(slot.bundles))]
        return cls(anchor, parts, [bundle.pk.bytes for bundle in slot.bundles])


OTHERS = [Goods(f"other-{number}", 300 + 23 * number, 150 + 11 * number) for number in range(SHELF)]


def order(chance: Random, number: int, unit: bytes | None, page: Page, at: int, recorded_at: int) -> list[bytes]:
    """Return the row of an order and, after it, those of its outcomes; times are microseconds."""
    part, basket = _basket(chance, page)
    is_returned = chance.random() < 0.04
    returned = 1 if is_returned else 0
    revenue = sum(goods.price * quantity for goods, quantity in basket)
    margin = _margin(basket, returned)
    lines = ", ".join(goods.line(quantity, 0 if place else returned) for place, (goods, quantity) in enumerate(basket))
    dice = chance.random()
    status = "cancelled" if dice < 0.03 else "pending" if dice < 0.04 else "confirmed" if dice < 0.2 else "paid"
    order_id = binary.ordered_key(at, chance.getrandbits(74))
    recorded = binary.moment(recorded_at)
    row = b"".join(
        (
            BEGINS,
            binary.key(order_id),
            binary.text(f"order-{number}"),
            binary.NULL if unit is None else binary.key(unit),
            binary.moment(at),
            recorded,
            recorded,
            binary.whole(revenue),
            binary.NULL if margin is None else binary.whole(margin),
            binary.whole(returned * basket[0][0].price),
            CURRENCIES[_currency(unit, chance)],
            binary.document(f"[{lines}]".encode()),
            NO_OFFERS,
            STATUSES[status],
            binary.moment(at + HOUR) if status == "cancelled" else binary.NULL,
            CHECKOUT,
            binary.key(chance.randbytes(16)),
        )
    )
    if basket[0][0] is not page.anchor:
        return [row]
    return [
        row,
        *(
            _outcome(chance, order_id, at, bundle, place == part and not returned)
            for place, bundle in enumerate(page.bundle_ids)
        ),
    ]


def _margin(basket: Sequence[tuple[Goods, int]], returned: int) -> int | None:
    """Return revenue less the cost of what stays with the buyer; None when a cost is unknown."""
    margin = 0
    for place, (goods, quantity) in enumerate(basket):
        if goods.cost is None:
            return None
        margin += goods.price * quantity - goods.cost * (quantity - (0 if place else returned))
    return margin


def _basket(chance: Random, page: Page) -> tuple[int | None, list[tuple[Goods, int]]]:
    """Return which bundle was taken and the basket, the product of the page first where it is bought."""
    others = [(OTHERS[chance.randrange(SHELF)], 1 + chance.randrange(3)) for _ in range(chance.randrange(3))]
    if chance.random() < 0.3:
        return None, others or [(OTHERS[chance.randrange(SHELF)], 1)]
    if chance.random() < 0.65:
        return None, [(page.anchor, 1), *others]
    part = chance.randrange(len(page.parts))
    return part, [(page.anchor, 1), (page.parts[part], 1 + part), *others]


def _outcome(chance: Random, order_id: bytes, at: int, bundle: bytes, is_accepted: bool) -> bytes:
    own = binary.key(binary.ordered_key(at, chance.getrandbits(74)))
    return OUTCOME_BEGINS + own + binary.key(order_id) + binary.key(bundle) + (binary.YES if is_accepted else binary.NO)


def _currency(unit: bytes | None, chance: Random) -> str:
    if chance.random() < 0.02:
        return "GBP"
    return "USD" if unit is not None and unit[3] % 5 == 4 else "EUR"
