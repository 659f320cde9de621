"""What an order says about each bundle of its products, decided while the bundle is as the buyer saw it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Q

from catalog_experiments.intake.events import OfferTaken
from catalog_experiments.intake.order_state import OrderRecord, pieces
from catalog_experiments.models import Bundle


class BundleShelf:
    """The bundles a batch of orders can say something about, read once: by product page and by name."""

    def __init__(self, orders: Iterable[OrderRecord]) -> None:
        """Read them in one query."""
        known = tuple(orders)
        products = {line.slug for order in known for line in order.lines}
        names = {name for order in known for name in order.accepted_bundles or ()}
        wanted = Q(primary_product_slug__in=products) | Q(bundle_slug__in=names)
        self._by_product: dict[str, list[Bundle]] = defaultdict(list)
        self._by_name: dict[str, Bundle] = {}
        for bundle in Bundle.objects.filter(wanted).only("bundle_slug", "primary_product_slug", "components"):
            self._by_product[bundle.primary_product_slug].append(bundle)
            self._by_name[bundle.bundle_slug] = bundle

    def outcomes(self, order: OrderRecord) -> Iterator[tuple[UUID, bool]]:
        """Yield (bundle id, accepted) for each bundle whose primary product is ordered, and each known one it names."""
        products = {line.slug for line in order.lines}
        anchored = (bundle for product in products for bundle in self._by_product.get(product, ()))
        named = (self._by_name[name] for name in order.accepted_bundles or () if name in self._by_name)
        for bundle in {bundle.pk: bundle for bundle in (*anchored, *named)}.values():
            yield bundle.pk, took(order, bundle.bundle_slug, bundle.components)

    def unknown_names(self, order: OrderRecord) -> tuple[str, ...]:
        """Return the bundles the order names that do not exist."""
        return tuple(name for name in order.accepted_bundles or () if name not in self._by_name)


def took(order: OrderRecord, bundle_slug: str, components: Iterable[Any]) -> bool:
    """Say whether the order took the bundle and has not returned a part of it.

    Names given by the shop win; then the offer on the basket line, as it was, if the order came in its time; then the
    bundle as it is stored: all components in their quantities. A bundle without components is never taken so.
    """
    if order.accepted_bundles is not None:
        return bundle_slug in order.accepted_bundles and not _is_broken(order, components)
    offer = next((offer for offer in order.offers if offer.bundle == bundle_slug and _in_time(order, offer)), None)
    needed = required_pieces(offer.components if offer and offer.components else components)
    return bool(needed) and pieces(order.lines, less_returned=True) >= needed


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


def _is_broken(order: OrderRecord, components: Iterable[Any]) -> bool:
    # Judged only where the lines showed the bundle's parts: a shop may sell a bundle as a line of its own.
    needed = required_pieces(components)
    ordered, kept = pieces(order.lines, less_returned=False), pieces(order.lines, less_returned=True)
    return ordered >= needed and not kept >= needed


def _in_time(order: OrderRecord, offer: OfferTaken) -> bool:
    return offer.valid_until is None or order.placed.at <= offer.valid_until
