"""Products on the shelf for tests."""

from __future__ import annotations

from typing import Any

from storefront.models import Product


def make_product(slug: str = "cup", **overrides: Any) -> Product:
    """Make a product; a cup of 24.00 euro that costs the shop 9.20 unless said otherwise."""
    fields: dict[str, Any] = {
        "name": slug.title(),
        "price_minor": 2400,
        "cost_minor": 920,
        "category": "Cups",
        "art": "cup",
    }
    return Product.objects.create(slug=slug, **(fields | overrides))


def make_shelf() -> Product:
    """Make the cup and its saucer, which the bundles of `tests.builders` are made of; return the cup."""
    make_product("saucer", price_minor=1200, cost_minor=380, art="saucer")
    return make_product("cup")
