"""Product pages while the database is away: they come, with what was read last and an offer that was decided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from storefront import shelf
from storefront.demo import seed_demo
from tests.builders import NOON
from tests.storefront.entries import make_entry, make_variant

pytestmark = pytest.mark.django_db


@contextmanager
def database_away() -> Iterator[None]:
    """Refuse every statement as a stopped server does."""

    def refuse(*_: Any) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(refuse):
        yield


def test_by_slug__database_away__copies_of_what_was_read() -> None:
    seed_demo(now=NOON)
    shelf.products()

    with database_away():
        found = shelf.by_slug(["saucer", "no-such"])
        everything = shelf.products()

    assert list(found) == ["saucer"]
    assert len(everything) == 8


def test_by_slug__never_read__fails_loudly() -> None:
    with database_away(), pytest.raises(OperationalError):
        shelf.by_slug(["saucer"])


@pytest.mark.parametrize("address", ["/", "/products/stoneware-cup"])
def test_page__database_away__still_comes(client: Client, address: str) -> None:
    seed_demo(now=NOON)
    before = client.get(address)

    with database_away():
        during = client.get(address)

    assert before.status_code == during.status_code == 200
    assert "Stoneware cup" in during.content.decode()


def test_product_page__database_away__shows_the_control_of_the_document(client: Client, hold: Any) -> None:
    seed_demo(now=NOON)
    pair = {"slug": "pair", "title": "Cup and saucer, both", "components": [{"slug": "saucer", "quantity": 1}]}
    variants = [make_variant("control", 0, 5_000, bundle=pair), make_variant("test", 5_000, 10_000)]
    hold(make_entry(anchor_product_slug="stoneware-cup", variants=variants))
    client.get("/products/stoneware-cup")

    with database_away():
        page = client.get("/products/stoneware-cup")

    assert "Cup and saucer, both" in page.content.decode()


def test_product_page__unknown_product__is_not_found(client: Client) -> None:
    seed_demo(now=NOON)

    assert client.get("/products/no-such").status_code == 404
