"""The shop tells the bundles what is on its shelves: a bundle is as scarce as the scarcest of its components."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from catalog_experiments import bundles
from storefront.models import Product, StockState

SCARCEST_FIRST = (StockState.OUT_OF_STOCK, StockState.LOW, StockState.IN_STOCK)
UNKNOWN = "unknown"


def pass_on(product_slug: str, *, actor: str, now: dt.datetime) -> None:
    """Bring the stock of every bundle with this component up to the shelves.

    A bundle that is sold out now pauses the experiments that offer it. Call it inside the transaction that changes the
    product. Safe to repeat: what does not change writes nothing.
    """
    for bundle_slug, components in bundles.offering(product_slug).items():
        shelf = dict(Product.objects.filter(slug__in=components).values_list("slug", "stock_state"))
        is_sold_out = StockState.OUT_OF_STOCK in shelf.values()
        state = scarcest(shelf.values()) if is_sold_out or len(shelf) == len(set(components)) else UNKNOWN
        bundles.update_bundle(bundle_slug, bundles.BundleChanges(stock_state=state), actor=actor, now=now)


def scarcest(states: Iterable[str]) -> str:
    """Return the state of the component that is hardest to get.

    >>> scarcest(["in_stock", "low"]), scarcest(["in_stock"])
    ('low', 'in_stock')
    """
    found = set(states)
    return next(state.value for state in SCARCEST_FIRST if state.value in found)
