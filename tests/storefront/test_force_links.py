"""Signed links to one variant: it is shown, nothing else is, and whoever opened one is not counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core import signing
from django.test import Client
from django.urls import reverse

from catalog_experiments.models import Experiment, Exposure, Order
from catalog_experiments.publication import ForcedVariant, force_address, read_force_link, sign_force_link
from storefront.models import ShopOrder
from tests.builders import make_bundle, make_running_experiment
from tests.storefront.goods import make_shelf

PAGE = "/products/cup"
AGENT = {"user-agent": "Mozilla/5.0 (X11) Firefox/140.0"}
HEADLINE = "Only the test variant says this"


@pytest.fixture
def guest(db: None) -> Client:
    """A browser without any right."""
    return Client(headers=AGENT)


@pytest.fixture
def experiment(publish: Callable[[dt.datetime], int]) -> Experiment:
    """Runs on the cup's page: a control without offer, and a test variant with a headline of its own."""
    make_shelf()
    now = dt.datetime.now(dt.UTC)
    control = {"key": "control", "name": "Control", "weight": 50, "is_control": True}
    payload = {"headline": HEADLINE}
    test = {"key": "test", "name": "Test", "weight": 50, "bundle": make_bundle(), "override_payload": payload}
    found = make_running_experiment(now=now, variants=[control, test])
    publish(now)
    return found


def open_link(guest: Client, variant_key: str) -> str:
    """Open a link to a variant and return the page it leads to."""
    answer = guest.get(PAGE, {"force": sign_force_link("cup-saucer", variant_key)}, follow=True)
    assert answer.redirect_chain == [(PAGE, 302)]
    return answer.content.decode()


@pytest.mark.parametrize(("key", "is_shown"), [("test", True), ("control", False)])
def test_link__opened__shows_its_variant_for_the_session_and_exposes_nobody(
    guest: Client, experiment: Experiment, key: str, is_shown: bool
) -> None:
    first, again = open_link(guest, key), guest.get(PAGE).content.decode()

    assert (HEADLINE in first, HEADLINE in again) == (is_shown, is_shown)
    assert "Test visit" in first
    assert not Exposure.objects.filter(excluded_as=None).exists()


def test_link__opened_by_a_shopper__shows_nothing_of_the_experiment(guest: Client, experiment: Experiment) -> None:
    page = open_link(guest, "test")

    assert "Experiments on this page" not in page
    assert "Show the staff panel" not in page
    assert experiment.slug not in page
    answer = guest.post(reverse("storefront:overlay-force"), {"experiment": experiment.slug, "variant": "control"})
    assert answer.status_code == 404


def test_link__forged_old_or_for_another_purpose__shows_nothing(guest: Client, experiment: Experiment) -> None:
    with time_machine.travel(dt.datetime.now(dt.UTC) - dt.timedelta(days=7, minutes=1)):
        old = sign_force_link("cup-saucer", "test")
    other = signing.dumps(["cup-saucer", "test"], salt="storefront.overlay")
    odd = signing.dumps({"a": 1, "b": 2, "c": 3}, salt="catalog_experiments.force")

    for token in ("forged", "a:b:c", old, other, odd, "", "\x00"):
        page = guest.get(PAGE, {"force": token}, follow=True).content.decode()

        assert read_force_link(token) is None
        assert "no longer valid" in page
        assert "Test visit" not in page


def test_link__to_an_unknown_variant__shows_the_visitors_own_uncounted(guest: Client, experiment: Experiment) -> None:
    page = open_link(guest, "ghost")

    assert "Test visit" in page
    assert not Exposure.objects.filter(excluded_as=None).exists()


def test_link__a_day_later__the_browser_counts_again(guest: Client, experiment: Experiment) -> None:
    open_link(guest, "test")

    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(hours=25)):
        page = guest.get(PAGE).content.decode()

    assert "Test visit" not in page
    assert Exposure.objects.count() == 1


def test_order__after_a_link__is_no_outcome(guest: Client, experiment: Experiment) -> None:
    open_link(guest, "test")
    guest.post(reverse("storefront:basket-add"), {"product": "cup", "take": "offer"})
    delivery = {"name": "Q", "email": "q@shop.example", "street": "Kiln 1", "postcode": "1", "city": "Delft"}

    answer = guest.post(reverse("storefront:checkout"), delivery)

    assert answer.status_code == 302
    assert ShopOrder.objects.count() == 1
    assert Order.objects.get().excluded_as == "staff"
    assert not Exposure.objects.filter(excluded_as=None).exists()


def test_link__opened_by_staff__forces_beside_the_panel(
    guest: Client, experiment: Experiment, admin_user: User
) -> None:
    guest.force_login(admin_user)

    page = open_link(guest, "test")

    assert "Experiments on this page" in page
    assert HEADLINE in page
    assert "?force=" in page
    assert "Copy link to" in page


def test_token__round_trip__names_experiment_and_variant(settings: object) -> None:
    settings.STOREFRONT_BASE_URL = "https://shop.example"  # type: ignore[attr-defined]  # pytest-django's settings

    address = force_address("cup", "cup-saucer", "test")

    page, _, token = address.partition("?force=")
    assert page == "https://shop.example/products/cup"
    assert read_force_link(token) == ForcedVariant("cup-saucer", "test")
