"""The pages: the visitor's own offer, nothing of the experiment, exposures, an order that always commits."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from catalog_experiments import intake, publication
from catalog_experiments.models import Experiment, Exposure, Order
from catalog_experiments.units import digest_unit
from storefront import decisions, overlay
from storefront.models import BasketLine, Product, ShopOrder
from storefront.visitors import COOKIE
from tests.builders import make_bundle, make_running_experiment
from tests.storefront.goods import make_product, make_shelf

pytestmark = pytest.mark.django_db

PAGE = "/products/cup"
DELIVERY = {"name": "Ada", "email": "ada@example.org", "street": "Main 1", "postcode": "34117", "city": "Kassel"}
Publish = Callable[[dt.datetime], int]


@pytest.fixture
def now() -> dt.datetime:
    """Return a moment just past, as a publish a minute ago."""
    return dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)


@pytest.fixture
def shopper(client: Client) -> Iterator[Client]:
    """Return a person's browser."""
    client.defaults["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"
    return client  # type: ignore[return-value]  # pytest takes values as well


@pytest.fixture
def experiment(now: dt.datetime, publish: Publish) -> Experiment:
    """Publish an experiment on the cup's page: control without offer, test with the bundle."""
    make_shelf()
    bundle = make_bundle(bundle_slug="pair", title="The pair")
    variants = [
        {"key": "baseline-key", "name": "Baseline", "weight": 50, "is_control": True, "bundle": None},
        {"key": "discount-key", "name": "Discount", "weight": 50, "bundle": bundle},
    ]
    found = make_running_experiment(now=now, slug="hidden-experiment", variants=variants)
    publish(now)
    return found


def visitor_in(variant_key: str, client: Client) -> str:
    """Give the browser a visitor id that falls into a variant; return the id."""
    for number in range(200):
        unit_id = f"visitor-of-the-test-{number}"
        decision = decisions.decide(unit_id, {}, product_slug="cup")
        if decision is not None and decision.variant_key == variant_key:
            client.cookies[COOKIE] = unit_id
            return unit_id
    raise AssertionError(f"nobody falls into {variant_key}")


def stamp_on(page: str) -> str:
    """Return the stamp in the page's form."""
    found = re.search(r'name="stamp" value="([^"]+)"', page)
    assert found
    return found[1]


def test_home__shelf__lists_the_products(shopper: Client) -> None:
    make_shelf()

    page = shopper.get("/").content.decode()

    assert page.index("Cup") < page.index("Saucer")
    assert "€24.00" in page


def test_home__empty_shop__says_so(shopper: Client) -> None:
    assert b"The shelves are empty" in shopper.get("/").content


def test_product__test_variant__shows_its_offer_and_records_the_exposure(
    shopper: Client, experiment: Experiment
) -> None:
    unit_id = visitor_in("discount-key", shopper)

    page = shopper.get(PAGE)

    exposure = Exposure.objects.get()
    assert "The pair" in page.content.decode()
    assert (exposure.unit, exposure.variant_key, exposure.is_fault) == (digest_unit(unit_id), "discount-key", False)


def test_product__control_without_offer__shows_none_and_records_the_exposure(
    shopper: Client, experiment: Experiment
) -> None:
    visitor_in("baseline-key", shopper)

    page = shopper.get(PAGE)

    assert "The pair" not in page.content.decode()
    assert Exposure.objects.get().variant_key == "baseline-key"


@pytest.mark.parametrize("variant_key", ["baseline-key", "discount-key"])
def test_product__page_source__holds_nothing_of_the_experiment(
    shopper: Client, experiment: Experiment, variant_key: str
) -> None:
    visitor_in(variant_key, shopper)

    response = shopper.get(PAGE)

    everything = response.content.decode() + str(response.headers) + str(response.cookies)
    for secret in ("hidden-experiment", "baseline-key", "discount-key", "xperiment", "variant", "overlay", "uardrail"):
        assert secret not in everything
    assert experiment.current_phase is not None
    assert experiment.current_phase.salt not in everything


def test_product__seen_again__is_one_exposure(shopper: Client, experiment: Experiment) -> None:
    visitor_in("discount-key", shopper)

    shopper.get(PAGE)
    shopper.get(PAGE)

    assert Exposure.objects.count() == 1


def test_product__new_visitor__gets_a_cookie_and_stays_in_the_variant(shopper: Client, experiment: Experiment) -> None:
    first = shopper.get(PAGE)
    second = shopper.get(PAGE)

    assert first.cookies[COOKIE]["httponly"]
    assert COOKIE not in second.cookies
    assert ("The pair" in first.content.decode()) == ("The pair" in second.content.decode())
    assert Exposure.objects.count() == 1


@pytest.mark.parametrize("agent", ["Googlebot/2.1", ""])
def test_product__bot__is_kept_once_and_left_out(shopper: Client, experiment: Experiment, agent: str) -> None:
    for _ in range(2):
        assert shopper.get(PAGE, headers={"user-agent": agent}).status_code == 200

    assert [exposure.excluded_as for exposure in Exposure.objects.all()] == ["bot"]


@pytest.mark.parametrize(("agent", "device"), [("Mozilla/5.0 Firefox/140", "desktop"), ("iPhone Mobile", "mobile")])
def test_product__exposed__tells_the_device_as_a_segment(
    shopper: Client, experiment: Experiment, agent: str, device: str
) -> None:
    shopper.get(PAGE, headers={"user-agent": agent})

    assert Exposure.objects.get().segments == {"device": device}


def test_product__fetched_ahead__is_never_exposed(shopper: Client, experiment: Experiment) -> None:
    headers = {"sec-purpose": "prefetch", "user-agent": "Mozilla/5.0 Firefox/140"}

    assert shopper.get(PAGE, headers=headers).status_code == 200
    assert not Exposure.objects.exists()


def test_product__bot__sees_control_always(client: Client, experiment: Experiment) -> None:
    visitor_in("discount-key", client)

    page = client.get(PAGE, headers={"user-agent": "Googlebot/2.1"})

    assert "The pair" not in page.content.decode()


def test_product__head__is_not_exposed(shopper: Client, experiment: Experiment) -> None:
    assert shopper.head(PAGE).status_code == 200
    assert not Exposure.objects.exists()


def test_product__staff__sees_the_overlay_and_is_left_out(
    shopper: Client, experiment: Experiment, admin_user: User
) -> None:
    shopper.force_login(admin_user)
    visitor_in("discount-key", shopper)

    page = shopper.get(PAGE).content.decode()

    assert "hidden-experiment: discount-key" in page
    assert "Your views and orders are not counted" in page
    assert [exposure.excluded_as for exposure in Exposure.objects.all()] == ["staff"]


def test_product__paused__shows_control_and_exposes_nobody(
    shopper: Client, experiment: Experiment, publish: Publish, now: dt.datetime
) -> None:
    visitor_in("discount-key", shopper)
    experiment.status = "paused"
    experiment.save()
    publish(now)

    page = shopper.get(PAGE)

    assert "The pair" not in page.content.decode()
    assert not Exposure.objects.exists()


def test_product__no_experiment__shows_the_baseline(shopper: Client, publish: Publish, now: dt.datetime) -> None:
    make_shelf()
    make_bundle(cms_override={"headline": "From the shop itself"})
    publish(now)

    page = shopper.get(PAGE)

    assert "From the shop itself" in page.content.decode()
    assert not Exposure.objects.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (intake, "record_exposures"),
        (publication, "baseline_offer"),
        (decisions, "decide_with"),
        (decisions, "find_plan"),
    ],
)
def test_product__anything_behind_it_fails__the_page_still_comes(
    shopper: Client, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    visitor_in("discount-key", shopper)
    monkeypatch.setattr(module, name, _refuse)

    response = shopper.get(PAGE)

    assert response.status_code == 200
    assert "€24.00" in response.content.decode()


def test_product__overlay_fails__staff_still_get_the_page(
    shopper: Client, experiment: Experiment, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper.force_login(admin_user)
    monkeypatch.setattr(overlay, "build_overlay", _refuse)

    assert shopper.get(PAGE).status_code == 200


def test_product__broken_payload_in_the_variant__shows_control_and_counts_the_exposure(
    shopper: Client, experiment: Experiment, publish: Publish, now: dt.datetime
) -> None:
    phase = experiment.current_phase
    assert phase is not None
    phase.variants[1]["override_payload"] = {"headline": 7}
    phase.save()
    publish(now)
    visitor_in("discount-key", shopper)

    page = shopper.get(PAGE)

    assert "The pair" not in page.content.decode()
    assert Exposure.objects.get().variant_key == "discount-key"


def test_product__unknown__is_404(shopper: Client) -> None:
    assert shopper.get("/products/nothing").status_code == 404


def test_product__sold_out__offers_nothing(shopper: Client) -> None:
    make_product("cup", stock_state="out_of_stock")

    page = shopper.get(PAGE).content.decode()

    assert "Sold out" in page
    assert "basket/add" not in page


def test_product__shopper__asks_few_questions(
    shopper: Client, experiment: Experiment, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    visitor_in("discount-key", shopper)

    with django_assert_max_num_queries(12):
        shopper.get(PAGE)


def test_product__strict_policy__has_no_inline_script_or_style(
    shopper: Client, experiment: Experiment, admin_user: User
) -> None:
    shopper.force_login(admin_user)

    response = shopper.get(PAGE)

    page = response.content.decode()
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
    assert not re.search(r"\sstyle=|\son\w+=|<style", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
    assert "//" not in re.sub(r"https?://testserver", "", " ".join(re.findall(r'(?:src|href)="([^"]*)"', page)))


def test_basket__offer_taken__carries_variant_to_the_order(shopper: Client, experiment: Experiment) -> None:
    unit_id = visitor_in("discount-key", shopper)
    stamp = stamp_on(shopper.get(PAGE).content.decode())

    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "offer", "stamp": stamp})
    placed = shopper.post(reverse("storefront:checkout"), DELIVERY)

    thanks = shopper.get(placed.headers["Location"]).content.decode()
    stored = Order.objects.get()
    assert "Thank you, Ada" in thanks
    assert (stored.unit, stored.revenue_minor, stored.accepted_bundles) == (digest_unit(unit_id), 3240, ["pair"])
    assert stored.offers[0]["variant"] == "discount-key"


def test_basket__paused_between_page_and_button__honors_the_price_shown(
    shopper: Client, experiment: Experiment, publish: Publish, now: dt.datetime
) -> None:
    visitor_in("discount-key", shopper)
    stamp = stamp_on(shopper.get(PAGE).content.decode())
    experiment.status = "paused"
    experiment.save()
    publish(now)

    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "offer", "stamp": stamp})
    shopper.post(reverse("storefront:checkout"), DELIVERY)

    stored = Order.objects.get()
    assert stored.revenue_minor == 3240
    assert stored.offers[0]["experiment"] == "hidden-experiment"


def test_basket__offer_that_was_never_shown__is_not_given(shopper: Client, experiment: Experiment) -> None:
    visitor_in("baseline-key", shopper)

    page = shopper.post(
        reverse("storefront:basket-add"), {"product": "cup", "take": "offer", "stamp": "1:forged"}, follow=True
    )

    assert "This offer has ended" in page.content.decode()
    assert not BasketLine.objects.exists()


def test_basket__changed_and_emptied__follows(shopper: Client) -> None:
    make_shelf()
    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})
    line = str(BasketLine.objects.get().pk)

    shopper.post(reverse("storefront:basket-update"), {"line": line, "quantity": "3"})
    three = shopper.get(reverse("storefront:basket")).content.decode()
    odd = shopper.post(reverse("storefront:basket-update"), {"line": "x", "quantity": "-1"}, follow=True)
    shopper.post(reverse("storefront:basket-update"), {"line": line, "quantity": "3", "remove": "1"})

    assert "€72.00" in three
    assert "whole number" in odd.content.decode()
    assert not BasketLine.objects.exists()


def test_basket_add__sold_out_or_unknown__adds_nothing(shopper: Client) -> None:
    make_product("cup", stock_state="out_of_stock")

    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})
    unknown = shopper.post(reverse("storefront:basket-add"), {"product": "nothing"})

    assert unknown.status_code == 404
    assert not BasketLine.objects.exists()


@pytest.mark.parametrize("name", ["basket-add", "basket-update", "overlay-force"])
def test_post_only__get__is_405(shopper: Client, name: str) -> None:
    assert shopper.get(reverse(f"storefront:{name}")).status_code == 405


def test_forms__without_token__are_refused() -> None:
    strict = Client(enforce_csrf_checks=True)

    assert strict.post(reverse("storefront:basket-add"), {"product": "cup"}).status_code == 403


def test_checkout__missing_fields__orders_nothing(shopper: Client) -> None:
    make_shelf()
    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})

    page = shopper.post(reverse("storefront:checkout"), DELIVERY | {"email": "not an address"})

    assert "nothing was ordered yet" in page.content.decode()
    assert not ShopOrder.objects.exists()


def test_checkout__sent_twice__leads_to_the_same_order(shopper: Client) -> None:
    make_shelf()
    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})

    first = shopper.post(reverse("storefront:checkout"), DELIVERY)
    second = shopper.post(reverse("storefront:checkout"), DELIVERY)

    assert first.headers["Location"] == second.headers["Location"]
    assert ShopOrder.objects.count() == 1


def test_checkout__empty_basket__goes_to_the_basket(shopper: Client) -> None:
    assert shopper.get(reverse("storefront:checkout")).headers["Location"] == reverse("storefront:basket")


def test_checkout__telemetry_down__the_order_commits_and_is_reported_with_the_next(
    shopper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_shelf()
    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})
    with monkeypatch.context() as broken:
        broken.setattr(intake, "record_orders", _refuse)
        placed = shopper.post(reverse("storefront:checkout"), DELIVERY)
    assert placed.status_code == 302
    assert ShopOrder.objects.unreported().count() == 1

    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})
    shopper.post(reverse("storefront:checkout"), DELIVERY)

    assert Order.objects.count() == 2
    assert not ShopOrder.objects.unreported().exists()


def test_checkout__staff__orders_without_being_counted(
    shopper: Client, experiment: Experiment, admin_user: User
) -> None:
    shopper.force_login(admin_user)
    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})

    shopper.post(reverse("storefront:checkout"), DELIVERY)

    assert ShopOrder.objects.get().is_internal
    assert Order.objects.get().excluded_as == "staff"


def test_order__of_somebody_else__is_404(shopper: Client) -> None:
    make_shelf()
    shopper.post(reverse("storefront:basket-add"), {"product": "cup", "take": "single"})
    placed = shopper.post(reverse("storefront:checkout"), DELIVERY)

    stranger = Client(headers={"user-agent": "Mozilla/5.0 Firefox/140"}).get(placed.headers["Location"])

    assert stranger.status_code == 404


def test_pages__shared_caches__may_not_keep_them(shopper: Client) -> None:
    make_shelf()

    response = shopper.get(PAGE)

    assert "private" in response.headers["Cache-Control"]
    assert "Cookie" in response.headers["Vary"]
    assert Product.objects.count() == 2


def _refuse(*arguments: object, **named: object) -> None:
    raise OperationalError("down")
