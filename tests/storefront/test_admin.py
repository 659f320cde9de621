"""The shop in the admin: products to edit, orders to read."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client

from storefront import shop
from storefront.models import Product
from tests.storefront.goods import make_shelf

pytestmark = pytest.mark.django_db


def test_products__listed_and_edited(admin_client: Client) -> None:
    cup = make_shelf()
    fields = {"slug": "cup", "name": "Cup", "price_minor": 2500, "currency": "EUR", "stock_state": "in_stock"}

    listed = admin_client.get("/admin/storefront/product/?q=cup")
    saved = admin_client.post(
        f"/admin/storefront/product/{cup.pk}/change/", fields | {"art": "cup", "details": "[]", "position": 1}
    )

    assert "Cup" in listed.content.decode()
    assert saved.status_code == 302
    assert Product.objects.get(slug="cup").price_minor == 2500


def test_orders__read_only_and_without_address(admin_client: Client) -> None:
    now = dt.datetime.now(dt.UTC)
    shop.add_product("visitor-0123456789", make_shelf(), now=now)
    order = shop.place_order("visitor-0123456789", {"name": "Ada Example"}, now=now)

    page = admin_client.get(f"/admin/storefront/shoporder/{order.pk}/change/")

    assert order.reference in page.content.decode()
    assert "Ada Example" not in page.content.decode()
    assert admin_client.get("/admin/storefront/shoporder/add/").status_code == 403
    assert admin_client.post(f"/admin/storefront/shoporder/{order.pk}/delete/").status_code == 403
