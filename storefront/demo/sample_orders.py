"""A made-up order history of the demo shop, the same for the same seed: what tutorials import."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path

from storefront.demo.goods import BUNDLES, PRODUCTS

HEADER = ("order_ref", "time", "unit", "sku", "quantity", "price")
SPAN = dt.timedelta(days=20)
CUSTOMERS = 150
TAKES_THE_BUNDLE = 0.3

Row = tuple[str, str, str, str, int, str]


def write_sample_orders(path: Path, *, orders: int, seed: int, now: dt.datetime) -> int:
    """Write a CSV file of so many orders over the 20 days before `now` and return its number of lines.

    Each order holds one product; where a bundle stands on its page, three in ten orders take the bundle too.

    Raises:
        OSError: the file cannot be written.
    """
    lines = list(_lines(orders, random.Random(seed), now))  # noqa: S311 - samples hold no secret
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        rows.writerows(lines)
    return len(lines)


def _lines(orders: int, chance: random.Random, now: dt.datetime) -> Iterator[Row]:
    prices = {product["slug"]: f"{product['price_minor'] / 100:.2f}" for product in PRODUCTS}
    for number in range(orders):
        placed_at = now - SPAN + SPAN * number / orders
        head = (f"sample-{number}", placed_at.isoformat(timespec="seconds"), f"customer-{chance.randrange(CUSTOMERS)}")
        for slug, quantity in _goods(chance):
            yield (*head, slug, quantity, prices[slug])


def _goods(chance: random.Random) -> list[tuple[str, int]]:
    anchor = chance.choice(PRODUCTS)["slug"]
    offered = [bundle for bundle in BUNDLES if bundle["primary_product_slug"] == anchor]
    if not offered or chance.random() >= TAKES_THE_BUNDLE:
        return [(anchor, 1)]
    return [(part["slug"], part["quantity"]) for part in chance.choice(offered)["components"]]
