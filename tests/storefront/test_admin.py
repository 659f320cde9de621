"""The shop in the admin: products to edit, orders to read."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client

from catalog_experiments.models import Bundle, PauseCause
from notifications.models import Alert
from storefront import shop, stock
from storefront.models import Product
from tests.builders import make_bundle, make_running_experiment
from tests.storefront.goods import make_product, make_shelf

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


def test_product__sold_out_in_the_admin__bundles_follow_and_the_experiment_pauses(admin_client: Client) -> None:
    make_shelf()
    experiment = make_running_experiment()
    saucer = Product.objects.get(slug="saucer")
    fields = {"slug": "saucer", "name": "Saucer", "price_minor": 1200, "currency": "EUR", "art": "saucer"}
    address = f"/admin/storefront/product/{saucer.pk}/change/"

    admin_client.post(address, fields | {"details": "[]", "position": 1, "stock_state": "out_of_stock"})

    experiment.refresh_from_db()
    assert experiment.pause_cause == PauseCause.STOCK
    assert set(Bundle.objects.values_list("stock_state", flat=True)) == {"out_of_stock"}

    admin_client.post(address, fields | {"details": "[]", "position": 1, "stock_state": "low"})

    assert set(Bundle.objects.values_list("stock_state", flat=True)) == {"low"}
    assert list(Alert.objects.order_by("created_at").values_list("kind", flat=True)) == ["stock_out", "stock_back"]


def test_pass_on__component_the_shop_does_not_sell__stock_is_unknown() -> None:
    make_product("cup")
    make_bundle()

    stock.pass_on("cup", actor="user:ana", now=dt.datetime.now(dt.UTC))

    assert Bundle.objects.get().stock_state == "unknown"
