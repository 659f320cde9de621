"""What an order says about each bundle of its products, decided while the bundle is as the buyer saw it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection

from catalog_experiments.intake.events import OfferTaken
from catalog_experiments.intake.order_state import OrderRecord, pieces

# None of them can be deleted before the batch is committed: outcomes are stored without a check of their own.
READ = """
SELECT id, bundle_slug, primary_product_slug, components FROM catalog_bundles
WHERE primary_product_slug = ANY(%s) OR bundle_slug = ANY(%s) ORDER BY id FOR KEY SHARE
"""


class ShelvedBundle(NamedTuple):
    """A bundle as it is stored, the bytes of its key, and the pieces it asks for by product."""

    pk: UUID
    key: bytes
    slug: str
    required: Mapping[str, int]


class BundleShelf:
    """The bundles a batch of orders can say something about, read once: by product page and by name."""

    def __init__(self, orders: Iterable[OrderRecord]) -> None:
        """Read them in one query, and hold them in the caller's transaction."""
        known = tuple(orders)
        products = {line.slug for order in known for line in order.lines}
        names = {name for order in known for name in order.accepted_bundles or ()}
        self._by_product: dict[str, list[ShelvedBundle]] = defaultdict(list)
        self._by_name: dict[str, ShelvedBundle] = {}
        for pk, slug, product, components in _read(products, names):
            self._by_name[slug] = bundle = ShelvedBundle(pk, pk.bytes, slug, required_pieces(components))
            self._by_product[product].append(bundle)

    def outcomes(self, order: OrderRecord) -> Iterator[tuple[ShelvedBundle, bool]]:
        """Yield (bundle, accepted) for each bundle whose primary product is ordered, and each known one it names."""
        concerned = {bundle.slug: bundle for line in order.lines for bundle in self._by_product.get(line.slug, ())}
        for name in order.accepted_bundles or ():
            if name in self._by_name:
                concerned[name] = self._by_name[name]
        kept = pieces(order.lines, less_returned=True)
        for bundle in concerned.values():
            yield bundle, took(order, bundle, kept)

    def unknown_names(self, order: OrderRecord) -> tuple[str, ...]:
        """Return the bundles the order names that do not exist."""
        if not order.accepted_bundles:
            return ()
        return tuple(name for name in order.accepted_bundles if name not in self._by_name)


def _read(products: Iterable[str], names: Iterable[str]) -> list[tuple[UUID, str, str, list[Any]]]:
    with connection.cursor() as cursor:
        cursor.execute(READ, [list(products), list(names)])
        return [(key, slug, product, orjson.loads(parts)) for key, slug, product, parts in cursor.fetchall()]


def took(order: OrderRecord, bundle: ShelvedBundle, kept: Mapping[str, int]) -> bool:
    """Say whether the order took the bundle and has not returned a part of it; `kept` are its pieces by product.

    Names given by the shop win; then the offer on the basket line, as it was, if the order came in its time; then the
    bundle as it is stored: all components in their quantities. A bundle without components is never taken so.
    """
    if order.accepted_bundles is not None:
        return bundle.slug in order.accepted_bundles and not _is_broken(order, bundle, kept)
    needed = bundle.required
    for offer in order.offers:
        if offer.bundle == bundle.slug and _in_time(order, offer):
            needed = required_pieces(offer.components) or needed
            break
    return bool(needed) and _holds(kept, needed)


def required_pieces(components: Iterable[Any]) -> Counter[str]:
    """Return how many pieces of each product a list of components asks for.

    >>> required_pieces([{"slug": "cup", "quantity": 2}, "saucer", {"slug": "cup"}])
    Counter({'cup': 3, 'saucer': 1})
    """
    needed: Counter[str] = Counter()
    for component in components:
        # The predecessor's fixtures list bare slugs; one piece each.
        slug, quantity = (
            (component["slug"], component.get("quantity", 1)) if isinstance(component, Mapping) else (component, 1)
        )
        needed[slug] += quantity
    return needed


def _is_broken(order: OrderRecord, bundle: ShelvedBundle, kept: Mapping[str, int]) -> bool:
    # Judged only where the lines showed the bundle's parts: a shop may sell a bundle as a line of its own.
    return not _holds(kept, bundle.required) and _holds(pieces(order.lines, less_returned=False), bundle.required)


def _holds(count: Mapping[str, int], needed: Mapping[str, int]) -> bool:
    for slug, wanted in needed.items():  # noqa: SIM110 - asked of every order, and half the cost of all()
        if count.get(slug, 0) < wanted:
            return False
    return True


def _in_time(order: OrderRecord, offer: OfferTaken) -> bool:
    return offer.valid_until is None or order.placed.at <= offer.valid_until
