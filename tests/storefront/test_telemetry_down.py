"""A checkout commits whatever telemetry does: broken, or its tables locked by somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog_experiments import intake
from catalog_experiments.models import Order
from storefront import shop
from storefront.models import ShopOrder
from tests.storefront.goods import make_shelf
from tests.storefront.test_views import DELIVERY

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = ("catalog_checkout_orders", "catalog_bundle_order_outcomes", "catalog_bundle_exposures")


@contextmanager
def locked_telemetry() -> Iterator[None]:
    """Hold every table of the facts on another connection, as a migration or a dump would."""
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        other.rollback()
        other.close()


@pytest.fixture
def shopper(client: Client) -> Client:
    """A person's browser with a cup in the basket."""
    client.defaults["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"
    make_shelf()
    client.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})
    return client


def test_checkout__telemetry_locked__the_order_commits_and_is_told_later(shopper: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    with locked_telemetry():
        placed = shopper.post(reverse("storefront:checkout"), DELIVERY)
        waiting = ShopOrder.objects.unreported().count()

    told = shop.report_due(now=timezone.now())

    assert placed.status_code == 302
    assert waiting == 1
    assert told == shop.ReportResult(reported=1, failed=0)
    assert Order.objects.get().order_ref == ShopOrder.objects.get().reference


@pytest.mark.parametrize("error", [RuntimeError("full"), MemoryError(), ValueError("broken")])
def test_checkout__telemetry_raises__the_order_commits_and_waits(
    shopper: Client, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(intake, "record_orders", refuse)

    placed = shopper.post(reverse("storefront:checkout"), DELIVERY)

    assert placed.status_code == 302
    assert ShopOrder.objects.unreported().count() == 1
    assert not Order.objects.exists()
