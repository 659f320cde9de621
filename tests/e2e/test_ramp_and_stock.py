"""What the clock and the shelves do to an experiment, as its card tells it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack
from tests.e2e.test_launch_and_rollback import free_product
from tests.processes import wait_until

SLUG = "e2e-growing"
CONTROL_CENTER = "/admin/merchandising/bundles"
CARD = f"[data-experiment='{SLUG}']"
COMPONENT = "house-roast"


@pytest.fixture(scope="module", autouse=True)
def draft(stack: Stack) -> None:
    """Make a draft that begins with 20 % of the visitors of a page without experiment."""
    product = free_product(stack)
    for slug in ("e2e-plain", "e2e-with-roast"):
        components = [{"slug": product, "quantity": 1}, {"slug": COMPONENT, "quantity": 1}]
        bundle = {"bundleSlug": slug, "primaryProductSlug": product, "title": slug, "components": components}
        assert stack.api("POST", "/catalog/bundles/", json=bundle).status_code == 201
    experiment = {
        "slug": SLUG,
        "name": "Grows by steps",
        "guardrail_config": {"min_acceptance_rate": 0.05},
        "ramp_plan": [{"coverage": 2_000, "minimum_hours": 24}, {"coverage": 10_000}],
        "variants": [
            {"key": "control", "name": "Control", "is_control": True, "bundle_slug": "e2e-plain", "weight": 50},
            {"key": "test", "name": "Test", "bundle_slug": "e2e-with-roast", "weight": 50},
        ],
    }
    answer = stack.api("POST", "/catalog/experiments", json=experiment)
    assert answer.status_code == 201, answer.text


def test_ramp__published__card_tells_its_step_and_what_it_waits_for(merchandiser: Page) -> None:
    merchandiser.goto(f"{CONTROL_CENTER}?view=drafts")
    expect(merchandiser.locator(CARD)).to_contain_text("Ramp of 2 steps: 20 %, 100 %.")

    merchandiser.goto(f"{CONTROL_CENTER}/{SLUG}/publish")
    merchandiser.get_by_role("button", name="Publish overrides").click()
    merchandiser.wait_for_url(f"**/{SLUG}")
    merchandiser.goto(CONTROL_CENTER)

    expect(merchandiser.locator(CARD)).to_contain_text("Ramping")
    expect(merchandiser.locator(CARD)).to_contain_text("Ramp: step 1 of 2: 20 %, next 100 % not before")
    expect(merchandiser.locator(CARD)).to_contain_text("waiting for: time")


def test_coverage__lowered__publish_page_says_that_a_phase_opens(merchandiser: Page, stack: Stack) -> None:
    merchandiser.goto(f"{CONTROL_CENTER}/{SLUG}/stop_ramp")
    merchandiser.get_by_label("Why").fill("A fifth is enough")
    merchandiser.get_by_role("button", name="Stop the ramp").click()
    merchandiser.goto(f"{CONTROL_CENTER}/{SLUG}/edit")
    for place in ("0", "1"):
        merchandiser.locator(f"[name=ramp-{place}-coverage_percent]").fill("")
    merchandiser.locator("[name=coverage_percent]").fill("10")
    merchandiser.get_by_role("button", name="Save").click()
    merchandiser.wait_for_url(f"**/{SLUG}")

    merchandiser.goto(f"{CONTROL_CENTER}/{SLUG}/publish")
    offers = merchandiser.locator(".cc-diff")
    expect(offers).to_contain_text("10 %; fewer visitors open a new phase that counts from zero")
    merchandiser.get_by_role("button", name="Publish overrides").click()
    merchandiser.wait_for_url(f"**/{SLUG}")

    assert stack.api("GET", f"/catalog/experiments/{SLUG}").json()["coverage"] == 1_000
    merchandiser.goto(CONTROL_CENTER)
    expect(merchandiser.locator(CARD)).to_contain_text("phase 2")


def test_schedule__of_a_draft__stands_on_its_card(merchandiser: Page) -> None:
    merchandiser.goto(f"{CONTROL_CENTER}/{SLUG}/clone")
    merchandiser.get_by_role("button", name="Create draft").click()
    merchandiser.wait_for_url(f"**/{SLUG}-2")
    merchandiser.goto(f"{CONTROL_CENTER}/{SLUG}-2/edit")
    merchandiser.get_by_label("Start", exact=True).fill("2099-07-01T14:00")
    merchandiser.get_by_role("button", name="Save").click()
    merchandiser.wait_for_url(f"**/{SLUG}-2")

    expect(merchandiser.locator(".cc-answer")).to_contain_text(re.compile(r"Starts by itself on Wed 1 Jul 2099, 14:00"))


def test_component__sold_out__pauses_and_says_so(merchandiser: Page, stack: Stack) -> None:
    set_stock(merchandiser, "out_of_stock")

    def says_so() -> bool:
        merchandiser.goto(CONTROL_CENTER)
        return "Paused: out of stock" in merchandiser.locator(CARD).inner_text()

    try:
        wait_until(says_so, 90)
        expect(merchandiser.locator(CARD)).to_contain_text("out of stock. Shoppers see the control.")
        expect(merchandiser.locator(CARD)).to_contain_text("restock, then resume: the same phase goes on")
        assert stack.api("GET", f"/catalog/experiments/{SLUG}").json()["pause_cause"] == "stock"
    finally:
        set_stock(merchandiser, "in_stock")


def set_stock(page: Page, state: str) -> None:
    """Set the component's stock on its page in the shop's back office."""
    page.goto(f"/admin/storefront/product/?q={COMPONENT}")
    page.locator("#result_list tbody").get_by_role("link").first.click()
    page.locator("#id_stock_state").select_option(state)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/product/**")
