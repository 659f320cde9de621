"""A shopper's way from the product page to a reported order, and what staff see of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Stack, log_in, shoot
from tests.e2e.test_pages import Scheme, serious_findings

PRODUCT = "/products/stoneware-cup"
EXPERIMENT = "cup-and-saucer"


def test_shopper__takes_the_offer__order_reaches_the_numbers(visitor: Page, stack: Stack, merchandiser: Page) -> None:
    visitor.goto(PRODUCT)
    source = visitor.content()
    visitor.locator("button[value='offer']").click()
    visitor.goto("/checkout")
    answers = {"Name": "Mara", "Email": "mara@shop.example", "Street and number": "Kiln Lane 4", "Postcode": "34117"}
    for label, value in answers.items():
        visitor.get_by_label(label).fill(value)
    visitor.get_by_label("City").fill("Kassel")
    visitor.get_by_role("button", name="Order and pay").click()
    visitor.wait_for_url("**/orders/*")
    reference = visitor.url.rsplit("/", 1)[1]

    for secret in (EXPERIMENT, "guardrail", "variant", "SPLIT"):
        assert secret not in source, "shoppers see nothing of the experiment"
    merchandiser.goto(f"/admin/catalog_experiments/order/?q={reference}")
    expect(merchandiser.locator("#content")).to_contain_text(reference)
    expect(merchandiser.locator("#content")).to_contain_text("Paid")


def test_visitor__comes_back__sees_the_same_offer(visitor: Page) -> None:
    visitor.goto(PRODUCT)
    first = visitor.locator(".offer").inner_text()

    for _ in range(5):
        visitor.goto(PRODUCT)
        assert visitor.locator(".offer").inner_text() == first


def test_staff__see_the_overlay_and_may_force_a_variant(merchandiser: Page) -> None:
    merchandiser.goto(PRODUCT)
    overlay = merchandiser.get_by_label("Staff overlay")
    expect(overlay).to_contain_text(EXPERIMENT)
    expect(overlay).to_contain_text("catalog-experiment-service")

    overlay.get_by_role("button", name="Test", exact=True).click()

    expect(merchandiser.get_by_label("Staff overlay")).to_contain_text("TARGETING_MATCH")
    shoot(merchandiser, "product-overlay")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 390])
def test_product_page__axe_and_width__nothing_serious(
    browser: Browser, stack: Stack, scheme: Scheme, width: int
) -> None:
    context = browser.new_context(
        base_url=stack.address, color_scheme=scheme, bypass_csp=True, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    page.goto(PRODUCT)

    findings = serious_findings(page)
    scroll_width = page.evaluate("document.documentElement.scrollWidth")
    shoot(page, f"product-{scheme}-{width}")
    context.close()

    assert findings == []
    assert scroll_width <= width


def test_viewer__may_look_but_not_publish(browser: Browser, stack: Stack) -> None:
    made = stack.manage("shell", "-c", MAKE_VIEWER)
    assert made.returncode == 0, made.stderr
    context = browser.new_context(base_url=stack.address)
    page = context.new_page()
    log_in(page, "vera", "only-for-this-test")

    expect(page.get_by_role("link", name="New experiment")).to_have_count(0)
    answer = page.goto(f"/admin/merchandising/bundles/{EXPERIMENT}/publish")

    assert answer is not None
    assert answer.status == 403
    context.close()


MAKE_VIEWER = """
from django.contrib.auth.models import Group, User
user, _ = User.objects.get_or_create(username="vera", defaults={"is_staff": True})
user.set_password("only-for-this-test")
user.save()
user.groups.add(Group.objects.get(name="viewer"))
"""
