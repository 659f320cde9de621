"""What the demo shop sells: eight products, and the bundles on their pages; every price and cost is known."""

from __future__ import annotations

from typing import Any

CUP_PAYLOAD = {"art": "cup-on-saucer", "cta": "Add cup and saucer"}


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
