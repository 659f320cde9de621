"""The demo shop: complete, published through the real service, and created once."""

from __future__ import annotations

import datetime as dt
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from catalog_experiments.models import Bundle, Experiment, ExperimentEvent
from catalog_experiments.preflight import run_preflight
from catalog_experiments.service import CatalogExperimentService
from storefront import document
from storefront.demo import DRAFT, HARMFUL, HEALTHY, seed_demo
from storefront.models import Product
from storefront.simulation import DEMO_PAGES
from storefront.templatetags.shop_format import ICONS
from tests.builders import NOON

pytestmark = pytest.mark.django_db


def test_seed_demo__empty_database__makes_shop_and_experiments() -> None:
    result = seed_demo(now=NOON)

    states = dict(Experiment.objects.values_list("slug", "status"))
    assert (result.products, result.bundles) == (8, 7)
    assert states == {HEALTHY: "running", HARMFUL: "running", DRAFT: "draft"}
    assert set(ExperimentEvent.objects.values_list("actor", flat=True)) == {"system:seed_demo"}


def test_seed_demo__again__changes_nothing_and_leaves_a_pause_alone() -> None:
    seed_demo(now=NOON)
    service = CatalogExperimentService(actor="user:someone")
    service.pause(HARMFUL, now=NOON + dt.timedelta(minutes=1), reason="A person paused it.")
    events = ExperimentEvent.objects.count()

    again = seed_demo(now=NOON + dt.timedelta(minutes=2))

    assert (again.products, again.bundles, again.experiments) == (0, 0, ())
    assert Experiment.objects.get(slug=HARMFUL).status == "paused"
    assert ExperimentEvent.objects.count() == events


def test_seed_demo__killed_before_publishing__is_finished_by_the_next_run() -> None:
    seed_demo(now=NOON)
    Experiment.objects.filter(slug=HEALTHY).update(status="draft")

    seed_demo(now=NOON + dt.timedelta(minutes=1))

    assert Experiment.objects.get(slug=HEALTHY).status == "running"


def test_seed_demo__goods__have_prices_costs_and_products_for_every_bundle() -> None:
    seed_demo(now=NOON)

    products = Product.objects.by_slug(list(Product.objects.values_list("slug", flat=True)))
    for bundle in Bundle.objects.all():
        parts = [(products[part["slug"]], part["quantity"]) for part in bundle.components]
        at_list = sum(product.price_minor * quantity for product, quantity in parts)
        assert bundle.price_minor is not None
        assert bundle.price_minor < at_list
        assert bundle.cost_minor == sum((product.cost_minor or 0) * quantity for product, quantity in parts)


def test_seed_demo__draft__is_ready_to_publish() -> None:
    seed_demo(now=NOON)

    checks = run_preflight(Experiment.objects.get(slug=DRAFT), now=NOON)

    assert not [check for check in checks if check.outcome == "fail"]


def test_seed_demo__truth__stands_on_the_right_side_of_each_limit() -> None:
    seed_demo(now=NOON)

    truth = {page.product_slug: page.acceptance for page in DEMO_PAGES}
    limits = {
        experiment.slug: experiment.guardrail_config["min_acceptance_rate"] for experiment in Experiment.objects.all()
    }
    healthy, harmful = truth["stoneware-cup"], truth["round-teapot"]
    assert min(healthy["control"], healthy["test"]) > 1.5 * limits[HEALTHY]
    assert harmful["test"] < limits[HARMFUL] < harmful["control"]
    assert harmful["test"] == pytest.approx(0.4 * harmful["control"])


def test_seed_demo__every_page__comes_with_a_drawing_of_its_product(client: Client) -> None:
    seed_demo(now=dt.datetime.now(dt.UTC))
    document.reader().refresh()

    for product in Product.objects.all():
        page = client.get(f"/products/{product.slug}", headers={"user-agent": "Mozilla/5.0 Firefox/140"})

        text = page.content.decode()
        assert f'id="art-{product.art}"' in text
        assert product.art_alt in text
    assert "basket" in ICONS


def test_command__run__says_what_it_made() -> None:
    said = StringIO()

    call_command("seed_demo", stdout=said)

    assert f"experiments made: {HEALTHY}, {HARMFUL}, {DRAFT}" in said.getvalue()
