"""Basket and checkout: promises honored, money exact, orders that commit whatever telemetry does."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import OperationalError, connection

from catalog_experiments import intake
from catalog_experiments.models import Order, OrderOutcome
from catalog_experiments.units import digest_unit
from storefront import shop
from storefront.models import Basket, BasketLine, ShopOrder
from storefront.offers import build_offer
from tests.builders import NOON, make_bundle
from tests.storefront.entries import BUNDLE
from tests.storefront.goods import make_product, make_shelf

pytestmark = pytest.mark.django_db

VISITOR = "visitor-0123456789abcdef"
LATER = NOON + dt.timedelta(hours=25)


def put_offer(now: dt.datetime = NOON, **promise: Any) -> BasketLine:
    """Put the cup and saucer in the visitor's basket, as an experiment's test variant offered them."""
    offer = build_offer(BUNDLE, {})
    assert offer is not None
    kept = {
        "bundle": "cup-and-saucer",
        "title": offer.title,
        "components": BUNDLE["components"],
        "price_minor": 3240,
        "currency": "EUR",
        "valid_until": (now + dt.timedelta(hours=24)).isoformat(),
        "experiment": "cup-saucer",
        "variant": "test",
        "document_version": 7,
        "unit": VISITOR,
    }
    return shop.add_offer(VISITOR, offer.items[0].product, offer, kept | promise, now=now)


def test_add__same_thing_twice__is_one_line_of_two() -> None:
    cup = make_shelf()

    shop.add_product(VISITOR, cup, now=NOON)
    shop.add_product(VISITOR, cup, now=NOON)
    put_offer()
    put_offer()

    lines = shop.review(VISITOR, now=NOON).lines
    assert [(line.title, line.line.quantity) for line in lines] == [("Cup", 2), ("Take the saucer with the cup", 2)]
    assert shop.review(VISITOR, now=NOON).total_minor == 2 * 2400 + 2 * 3240


def test_add__same_offer_of_another_variant__is_a_line_of_its_own() -> None:
    make_shelf()

    put_offer()
    put_offer(variant="other")

    assert BasketLine.objects.count() == 2


def test_set_quantity__zero_removes_and_others_are_left_alone() -> None:
    cup = make_shelf()
    mine = shop.add_product(VISITOR, cup, now=NOON)
    theirs = shop.add_product("somebody-else-0123", cup, now=NOON)

    shop.set_quantity(VISITOR, mine.pk, 99)
    shop.set_quantity(VISITOR, theirs.pk, 0)

    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.quantity, theirs.quantity) == (shop.MAX_QUANTITY, 1)
    shop.set_quantity(VISITOR, mine.pk, 0)
    assert shop.pieces_in_basket(VISITOR) == 0


def test_review__offer_still_valid__keeps_its_price_though_products_got_dearer() -> None:
    cup = make_shelf()
    put_offer()
    cup.price_minor = 9900
    cup.save()

    [line] = shop.review(VISITOR, now=NOON + dt.timedelta(hours=23)).lines

    assert line.is_offer
    assert line.total_minor == 3240


def test_review__offer_ran_out__is_back_at_list_prices() -> None:
    make_shelf()
    put_offer()

    [line] = shop.review(VISITOR, now=LATER).lines

    assert line.has_expired
    assert not line.is_offer
    assert line.total_minor == 3600


def test_place_order__offer__splits_its_price_over_the_pieces() -> None:
    cup = make_shelf()
    put_offer()
    put_offer()
    shop.add_product(VISITOR, cup, now=NOON)

    order = shop.place_order(VISITOR, {"name": "Ada"}, now=NOON)

    lines = [(line["slug"], line["quantity"], line["price_minor"], line["cost_minor"]) for line in order.lines]
    assert lines == [("cup", 2, 2160, 920), ("saucer", 2, 1080, 380), ("cup", 1, 2400, 920)]
    assert order.total_minor == sum(quantity * price for _, quantity, price, _ in lines) == 8880
    assert [offer["variant"] for offer in order.offers] == ["test"]
    assert shop.pieces_in_basket(VISITOR) == 0
    assert shop.last_order(VISITOR) == order


def test_place_order__offer_ran_out__is_sold_as_plain_products() -> None:
    make_shelf()
    put_offer()

    order = shop.place_order(VISITOR, {}, now=LATER)

    assert order.total_minor == 3600
    assert order.offers == []


def test_place_order__empty_basket__raises() -> None:
    with pytest.raises(shop.BasketEmpty):
        shop.place_order(VISITOR, {}, now=NOON)


@pytest.mark.django_db(transaction=True)
def test_place_order__form_sent_twice_at_once__is_one_order() -> None:
    shop.add_product(VISITOR, make_shelf(), now=NOON)
    outcomes: list[str] = []

    def send() -> None:
        try:
            shop.place_order(VISITOR, {}, now=NOON)
            outcomes.append("placed")
        except shop.BasketEmpty:
            outcomes.append("empty")
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["empty", "empty", "empty", "placed"]
    assert ShopOrder.objects.count() == 1


def test_report__placed_order__reaches_telemetry_once() -> None:
    make_shelf()
    bundle = make_bundle()
    put_offer()
    order = shop.place_order(VISITOR, {}, now=NOON)

    first = shop.report([order], now=NOON)
    again = shop.report_due(now=NOON + dt.timedelta(minutes=1))

    stored = Order.objects.get()
    assert (first.reported, again.reported) == (1, 0)
    assert (stored.order_ref, stored.unit, stored.revenue_minor) == (order.reference, digest_unit(VISITOR), 3240)
    assert stored.accepted_bundles == ["cup-and-saucer"]
    assert [offer["variant"] for offer in stored.offers] == ["test"]
    assert OrderOutcome.objects.get(bundle=bundle).accepted
    order.refresh_from_db()
    assert (order.reported_at, order.unit_id) == (NOON, "")


def test_report__bought_without_the_offer__takes_no_bundle() -> None:
    cup = make_shelf()
    bundle = make_bundle()
    shop.add_product(VISITOR, cup, now=NOON)

    shop.report([shop.place_order(VISITOR, {}, now=NOON)], now=NOON)

    assert not OrderOutcome.objects.get(bundle=bundle).accepted


def test_report__telemetry_down__leaves_the_order_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add_product(VISITOR, make_shelf(), now=NOON)
    order = shop.place_order(VISITOR, {}, now=NOON)
    with monkeypatch.context() as broken:
        broken.setattr(intake, "record_orders", _refuse)
        failed = shop.report([order], now=NOON)

    recovered = shop.report_due(now=NOON + dt.timedelta(seconds=1))

    assert (failed.reported, failed.failed) == (0, 1)
    assert recovered.reported == 1
    assert Order.objects.get().order_ref == order.reference


def test_report__refused_for_good__is_not_sent_again() -> None:
    shop.add_product(VISITOR, make_shelf(), now=NOON)
    order = shop.place_order(VISITOR, {}, now=NOON)
    order.currency = "euro"

    shop.report([order], now=NOON)

    order.refresh_from_db()
    assert order.report_error
    assert shop.report_due(now=LATER).reported == 0
    assert not Order.objects.exists()


def test_report__order_of_staff__is_kept_and_left_out() -> None:
    shop.add_product(VISITOR, make_shelf(), now=NOON)
    order = shop.place_order(VISITOR, {}, now=NOON, is_internal=True)

    shop.report([order], now=NOON)

    assert order.unit_id == ""
    assert Order.objects.get().excluded_as == "staff"


def test_order_of__somebody_else__is_none() -> None:
    shop.add_product(VISITOR, make_shelf(), now=NOON)
    order = shop.place_order(VISITOR, {}, now=NOON)

    assert shop.order_of(VISITOR, order.reference) == order
    assert shop.order_of("somebody-else-0123", order.reference) is None


def test_basket__component_no_longer_sold__can_still_be_reviewed() -> None:
    make_shelf()
    make_product("other")
    put_offer(components=[{"slug": "gone", "quantity": 1}])

    [line] = shop.review(VISITOR, now=LATER).lines

    assert line.total_minor == 2400
    assert Basket.objects.count() == 1


def _refuse(*arguments: object, **named: object) -> None:
    raise OperationalError("telemetry is down")
