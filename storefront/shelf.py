"""The shop's goods as last read: what product pages stand on while the database is away.

Every page reads the database first, the whole shelf for its navigation; only when it cannot be read does the copy of
this process answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db.utils import Error

from storefront.models import Product

logger = logging.getLogger(__name__)

_kept: dict[str, Product] = {}


def products() -> list[Product]:
    """Return everything the shop sells in the order of its shelves; the copy while the database is away.

    Raises:
        Error: the database is away and nothing was ever read.
    """
    try:
        return _read_all()
    except Error:
        if not _kept:
            raise
        logger.warning("the database is away; the shop shows its goods as last read")
        return sorted(_kept.values(), key=lambda product: (product.position, product.name))


def by_slug(slugs: Iterable[str]) -> dict[str, Product]:
    """Return the products that exist by slug; copies while the database is away.

    Raises:
        Error: the database is away and nothing was ever read.
    """
    wanted = set(slugs)
    try:
        found = Product.objects.by_slug(list(wanted))
    except Error:
        if not _kept:
            raise
        logger.warning("the database is away; the page shows its goods as last read")
        return {slug: _kept[slug] for slug in wanted & _kept.keys()}
    _kept.update(found)
    return found


def forget() -> None:
    """Drop the copy, as a new process begins."""
    _kept.clear()


def _read_all() -> list[Product]:
    read = list(Product.objects.order_by("position", "name"))
    _kept.clear()
    _kept.update({product.slug: product for product in read})
    return read
