"""The demo shop "Kiln & Kettle": its shelves, its bundles, and three experiments set up through the real service.

Everything is created once; what exists is left as people and guardrails made it, a paused experiment stays paused.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from catalog_experiments.models import Bundle, ExperimentStatus
from catalog_experiments.service import CatalogExperimentService, ExperimentNotFound, ExperimentSpec, VariantSpec
from storefront.models import Product

ACTOR = "system:seed_demo"
CUP_PAYLOAD = {"art": "cup-on-saucer", "cta": "Add cup and saucer"}
HEALTHY, HARMFUL, DRAFT = "cup-and-saucer", "tea-set-for-guests", "slow-coffee-corner"


@dataclass(frozen=True)
class DemoResult:
    """What a run created, and what it found in place."""

    products: int
    bundles: int
    experiments: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class DemoExperiment:
    """An experiment of the demo and whether it goes live at once."""

    spec: ExperimentSpec
    is_published: bool


def seed_demo(*, now: dt.datetime, owner_username: str | None = None) -> DemoResult:
    """Fill the shop and publish its experiments; a second run creates nothing. Needs no network and no telemetry."""
    with transaction.atomic():
        products = sum(_create(Product, "slug", row) for row in PRODUCTS)
        bundles = sum(_create(Bundle, "bundle_slug", row) for row in BUNDLES)
    service = CatalogExperimentService(actor=ACTOR)
    created, kept = [], []
    for wanted in experiments(owner_username):
        is_new = _set_up(service, wanted, now=now)
        (created if is_new else kept).append(wanted.spec.slug)
    return DemoResult(products, bundles, tuple(created), tuple(kept))


def _create(model: type[Product] | type[Bundle], key: str, row: dict[str, Any]) -> bool:
    defaults = {name: value for name, value in row.items() if name != key}
    _, is_new = model._default_manager.get_or_create(**{key: row[key]}, defaults=defaults)  # noqa: SLF001 - the public name is per model
    return is_new


def _set_up(service: CatalogExperimentService, wanted: DemoExperiment, *, now: dt.datetime) -> bool:
    slug, is_new = wanted.spec.slug, False
    try:
        experiment = service.get(slug)
    except ExperimentNotFound:
        experiment, is_new = service.create(wanted.spec, now=now), True
    # A run that was killed between creating and publishing is finished by the next one.
    if wanted.is_published and experiment.status == ExperimentStatus.DRAFT:
        service.publish(slug, now=now, reason="Demo shop")
    return is_new


def experiments(owner_username: str | None) -> tuple[DemoExperiment, ...]:
    """Return the three experiments: a healthy one, one whose variant does harm, and a draft ready to publish."""
    healthy = ExperimentSpec(
        slug=HEALTHY,
        name="Cup and saucer: 10 % instead of 5 %",
        description="Does a deeper discount on the saucer win more pairs than it costs in margin?",
        hypothesis="Shoppers who hesitate over the saucer take it at 10 % off; the extra pairs pay for the discount.",
        guardrail_config={"min_acceptance_rate": 0.12},
        sample_size_guardrail=250,
        owner_username=owner_username,
        variants=_pair("cup-with-saucer", "cup-with-saucer-save10", CUP_PAYLOAD),
    )
    harmful = ExperimentSpec(
        slug=HARMFUL,
        name="Tea set: four bowls instead of two",
        description="Would people who buy the pot rather take the larger set?",
        hypothesis="A set for guests raises the order value, and as many take it.",
        guardrail_config={"min_acceptance_rate": 0.2},
        sample_size_guardrail=250,
        owner_username=owner_username,
        variants=_pair("teapot-two-bowls", "teapot-four-bowls", {"cta": "Add the tea set"}),
    )
    draft = ExperimentSpec(
        slug=DRAFT,
        name="Pour-over: beans with the dripper",
        description="Offer the house roast with the dripper, alone or with a mug.",
        hypothesis="The mug makes it a present, and presents sell before the holidays.",
        guardrail_config={"min_acceptance_rate": 0.1},
        sample_size_guardrail=250,
        owner_username=owner_username,
        variants=_pair("dripper-with-beans", "dripper-beans-mug", {"headline": "Everything for the first slow coffee"}),
    )
    return (
        DemoExperiment(healthy, is_published=True),
        DemoExperiment(harmful, is_published=True),
        DemoExperiment(draft, is_published=False),
    )


def _pair(control: str, test: str, payload: dict[str, Any]) -> tuple[VariantSpec, ...]:
    return (
        VariantSpec(
            key="control", name="Control", weight=50, is_control=True, bundle_slug=control, override_payload=payload
        ),
        VariantSpec(key="test", name="Test", weight=50, bundle_slug=test, override_payload=payload),
    )


def _product(position: int, slug: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"slug": slug, "name": name, "position": position, "currency": "EUR", **fields}


def _details(size: str, care: str, made: str) -> list[dict[str, str]]:
    return [
        {"title": "Size", "text": size},
        {"title": "Care", "text": care},
        {"title": "Made by", "text": made},
    ]


GLAZE_CARE = "Dishwasher and microwave. The glaze gets fine lines with the years; they belong to it."
WORKSHOP = "A workshop of five near Kassel, from local clay, in a kiln heated by the sun."

PRODUCTS: tuple[dict[str, Any], ...] = (
    _product(
        10,
        "stoneware-cup",
        "Stoneware cup",
        tagline="250 ml, sea green",
        category="Cups",
        description="Thrown by hand, glazed in sea green, dishwasher-safe. Keeps a coffee warm for as long as you sit.",
        price_minor=2400,
        cost_minor=920,
        art="cup",
        art_alt="Stoneware cup with a sea-green glaze, filled with coffee, on a sand-colored table",
        details=_details("250 ml, 8.5 cm high, 9 cm across. Fits under most espresso machines.", GLAZE_CARE, WORKSHOP),
    ),
    _product(
        20,
        "saucer",
        "Saucer",
        tagline="15 cm, sea green",
        category="Cups",
        description="A quiet saucer with one green line. Catches the drop, and the biscuit.",
        price_minor=1200,
        cost_minor=380,
        art="saucer",
        art_alt="Cream-colored saucer with a thin sea-green ring",
        details=_details("15 cm across, 2 cm high.", GLAZE_CARE, WORKSHOP),
    ),
    _product(
        30,
        "tall-mug",
        "Tall mug",
        tagline="350 ml, sand",
        category="Cups",
        description="For mornings that need more than one cup. A handle for four fingers.",
        price_minor=2800,
        cost_minor=1040,
        art="mug",
        art_alt="Tall sand-colored mug with a bare clay foot",
        details=_details("350 ml, 11 cm high.", GLAZE_CARE, WORKSHOP),
    ),
    _product(
        40,
        "round-teapot",
        "Round teapot",
        tagline="1.1 l, sea green",
        category="Teapots",
        description="Pours without a drip, holds five bowls, and keeps its lid on when you tilt it.",
        price_minor=6800,
        cost_minor=2700,
        art="teapot",
        art_alt="Round sea-green teapot with a bare clay foot and a sand-colored knob",
        details=_details(
            "1.1 l, 15 cm high. A steel strainer lies in it.", "Rinse with water, no soap inside.", WORKSHOP
        ),
    ),
    _product(
        50,
        "tea-bowl",
        "Tea bowl",
        tagline="120 ml, sand",
        category="Teapots",
        description="Small, without a handle: when it is too hot to hold, it is too hot to drink.",
        price_minor=1800,
        cost_minor=640,
        art="bowl",
        art_alt="Small sand-colored bowl of green tea",
        details=_details("120 ml, 6 cm high.", GLAZE_CARE, WORKSHOP),
    ),
    _product(
        60,
        "cake-plate",
        "Cake plate",
        tagline="21 cm, sea-green ring",
        category="Plates",
        description="Wide enough for the second slice.",
        price_minor=2200,
        cost_minor=780,
        art="plate",
        art_alt="Cream-colored plate with a sea-green ring on a wooden stand",
        stock_state="low",
        details=_details("21 cm across.", GLAZE_CARE, WORKSHOP),
    ),
    _product(
        70,
        "pour-over-dripper",
        "Pour-over dripper",
        tagline="For 1 to 3 cups",
        category="Coffee",
        description="A cone with ribs that let the water find its own way. Paper filters size 2 fit.",
        price_minor=3200,
        cost_minor=1210,
        art="dripper",
        art_alt="Sea-green ceramic dripper on a glass with fresh coffee",
        details=_details("12 cm high, 11 cm across.", GLAZE_CARE, WORKSHOP),
    ),
    _product(
        80,
        "house-roast",
        "House roast",
        tagline="250 g, whole beans",
        category="Coffee",
        description="Roasted on Mondays, sent on Tuesdays. Hazelnut, dark chocolate, a little orange.",
        price_minor=1100,
        cost_minor=560,
        art="coffee",
        art_alt="Paper bag of coffee with a bean on the label",
        details=_details(
            "250 g, whole beans.", "Keep it closed, dark and cool; not in the fridge.", "A roaster two streets away."
        ),
    ),
)


def _bundle(slug: str, anchor: str, title: str, **fields: Any) -> dict[str, Any]:
    return {
        "bundle_slug": slug,
        "primary_product_slug": anchor,
        "title": title,
        "currency": "EUR",
        "stock_state": "in_stock",
        "metadata": {"demo": True},
        **fields,
    }


def _parts(**quantities: int) -> list[dict[str, Any]]:
    return [{"slug": slug.replace("_", "-"), "quantity": quantity} for slug, quantity in quantities.items()]


BUNDLES: tuple[dict[str, Any], ...] = (
    _bundle(
        "cup-with-saucer",
        "stoneware-cup",
        "Take the saucer with the cup",
        description="Fired together, so glaze and color match.",
        savings_copy="Save 5 %",
        components=_parts(stoneware_cup=1, saucer=1),
        price_minor=3420,
        cost_minor=1300,
        cms_priority=20,
        cms_override=CUP_PAYLOAD,
    ),
    _bundle(
        "cup-with-saucer-save10",
        "stoneware-cup",
        "Take the saucer with the cup",
        description="Fired together, so glaze and color match.",
        savings_copy="Save 10 %",
        components=_parts(stoneware_cup=1, saucer=1),
        price_minor=3240,
        cost_minor=1300,
        cms_priority=30,
    ),
    _bundle(
        "teapot-two-bowls",
        "round-teapot",
        "Tea for two",
        description="The pot and two bowls, packed in one box.",
        savings_copy="Save 10 %",
        components=_parts(round_teapot=1, tea_bowl=2),
        price_minor=9360,
        cost_minor=3980,
        cms_priority=20,
        cms_override={"cta": "Add the tea set"},
    ),
    _bundle(
        "teapot-four-bowls",
        "round-teapot",
        "Tea for guests",
        description="The pot and four bowls, packed in one box.",
        savings_copy="Save 5 %",
        components=_parts(round_teapot=1, tea_bowl=4),
        price_minor=13300,
        cost_minor=5260,
        cms_priority=30,
    ),
    _bundle(
        "dripper-with-beans",
        "pour-over-dripper",
        "Beans to start with",
        description="A bag of the house roast with the dripper.",
        savings_copy="Save 10 %",
        components=_parts(pour_over_dripper=1, house_roast=1),
        price_minor=3870,
        cost_minor=1770,
        cms_priority=20,
        cms_override={"badge": "Save 10 %"},
    ),
    _bundle(
        "dripper-beans-mug",
        "pour-over-dripper",
        "The slow coffee corner",
        description="Dripper, beans and the tall mug.",
        savings_copy="Save 12 %",
        components=_parts(pour_over_dripper=1, house_roast=1, tall_mug=1),
        price_minor=6248,
        cost_minor=2810,
        cms_priority=30,
    ),
    _bundle(
        "mug-with-beans",
        "tall-mug",
        "A full mug, from the first day",
        description="The mug and a bag of the house roast.",
        savings_copy="Save 8 %",
        components=_parts(tall_mug=1, house_roast=1),
        price_minor=3588,
        cost_minor=1600,
        cms_priority=20,
        cms_override={"badge": "Save 8 %", "cta": "Add mug and beans"},
    ),
)
