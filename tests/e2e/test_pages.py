"""The pages people open: accessible in light and dark, no sideways scrolling on a phone, no policy violation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, cast

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.e2e.conftest import Stack, log_in, shoot

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
ADMIN_PAGES = {
    "control-center": "/admin/merchandising/bundles",
    "drafts": "/admin/merchandising/bundles?view=drafts",
    "new-experiment": "/admin/merchandising/bundles/new",
    "experiment": "/admin/merchandising/bundles/cup-and-saucer",
    "edit": "/admin/merchandising/bundles/slow-coffee-corner/edit",
    "publish": "/admin/merchandising/bundles/slow-coffee-corner/publish",
    "guardrail-backtest": "/admin/merchandising/bundles/cup-and-saucer/guardrail-backtest",
    "experiments": "/admin/catalog_experiments/experiment/",
    "bundles": "/admin/catalog_experiments/bundle/",
    "jobs": "/admin/catalog_experiments/jobrun/",
    "alerts": "/admin/notifications/alert/",
}
Scheme = Literal["light", "dark"]
SERIOUS = ("serious", "critical")
PHONE_WIDTH = 390


def serious_findings(page: Page) -> list[str]:
    """Run axe on the page and return its serious and critical findings, one line each."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
    return [
        f"{rule['id']}: {node['target']}"
        for rule in found["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def is_dark(page: Page) -> bool:
    """Say whether light letters stand on a dark page."""
    red_of = "element => Number(getComputedStyle(element).color.match(/\\d+/)[0])"
    return int(page.locator("h1, h2").first.evaluate(red_of)) > 128


def unfold(page: Page) -> None:
    """Open what is folded away, so that it is looked at too."""
    page.evaluate("document.querySelectorAll('.cc details').forEach(details => { details.open = true })")


@pytest.fixture(scope="module", params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Scheme:
    """Take one color scheme after the other."""
    return cast("Scheme", request.param)


@pytest.fixture(scope="module")
def desk(browser: Browser, stack: Stack, scheme: Scheme) -> Iterator[Page]:
    """Open a logged-in page of a desk's width that may be given scripts to run."""
    size: ViewportSize = {"width": 1360, "height": 1000}
    context = browser.new_context(base_url=stack.address, color_scheme=scheme, bypass_csp=True, viewport=size)
    page = context.new_page()
    log_in(page, "admin", stack.password)
    yield page
    context.close()


@pytest.fixture(scope="module")
def phone(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Open a logged-in page of a phone's width."""
    context = browser.new_context(base_url=stack.address, viewport={"width": PHONE_WIDTH, "height": 844})
    page = context.new_page()
    log_in(page, "admin", stack.password)
    yield page
    context.close()


@pytest.mark.parametrize("name", ADMIN_PAGES)
def test_admin_page__axe__finds_nothing_serious(desk: Page, scheme: Scheme, name: str) -> None:
    desk.goto(ADMIN_PAGES[name])
    desk.wait_for_load_state("load")
    unfold(desk)

    findings = serious_findings(desk)
    shoot(desk, f"{name}-{scheme}")

    assert findings == []


@pytest.mark.parametrize("name", ["control-center", "new-experiment", "experiment", "publish", "guardrail-backtest"])
def test_admin_page__on_a_phone__does_not_scroll_sideways(phone: Page, name: str) -> None:
    phone.goto(ADMIN_PAGES[name])
    unfold(phone)

    width = phone.evaluate("document.documentElement.scrollWidth")
    shoot(phone, f"{name}-narrow")

    assert width <= PHONE_WIDTH


def test_admin_pages__content_policy__refuses_nothing(merchandiser: Page) -> None:
    refused: list[str] = []
    merchandiser.on(
        "console", lambda message: refused.append(message.text) if "Content Security" in message.text else None
    )

    for address in ADMIN_PAGES.values():
        merchandiser.goto(address)

    assert refused == []


@pytest.mark.parametrize("address", ["/nowhere", "/admin/merchandising/bundles/nowhere"])
def test_missing_page__axe__finds_nothing_serious(desk: Page, scheme: Scheme, address: str) -> None:
    desk.goto(address)

    findings = serious_findings(desk)
    shoot(desk, f"missing-{scheme}")

    assert findings == []
    expect(desk.get_by_role("heading", name="No such page")).to_be_visible()
    assert is_dark(desk) is (scheme == "dark")


def test_api_docs__either_scheme__follow_the_system(desk: Page, scheme: Scheme) -> None:
    desk.goto("/api/docs/")
    expect(desk.get_by_text("Create a draft")).to_be_visible()

    shoot(desk, f"api-docs-{scheme}")

    assert is_dark(desk) is (scheme == "dark")


def test_wide_table__on_a_phone__has_a_shadow_where_it_goes_on(phone: Page) -> None:
    phone.goto(ADMIN_PAGES["experiment"])
    unfold(phone)

    wide = "tables => tables.filter(table => table.scrollWidth > table.clientWidth)"
    layers = f"{wide}.map(table => getComputedStyle(table).backgroundAttachment)"
    found = phone.locator(".cc-scroll").evaluate_all(layers)

    assert found
    assert set(found) == {"local, local, scroll, scroll"}, "the lids scroll along, the shadows stay at the edges"


def test_complete__won_and_nothing_ships__asks_before_it_is_done(merchandiser: Page) -> None:
    merchandiser.goto("/admin/merchandising/bundles/cup-and-saucer/complete")
    merchandiser.get_by_label("Conclusion").select_option("won")
    merchandiser.get_by_role("button", name="Complete").click()

    expect(merchandiser.get_by_role("alert").first).to_contain_text("It won, yet nothing ships")
    expect(merchandiser.get_by_label("Yes, nothing shall ship")).not_to_be_checked()
    shoot(merchandiser, "complete-asked")


def test_backtest__from_the_draft_page__tries_what_stands_in_the_form(merchandiser: Page) -> None:
    merchandiser.goto("/admin/merchandising/bundles/slow-coffee-corner/edit")
    merchandiser.get_by_label("Least acceptance, %").fill("7.5")

    with merchandiser.expect_popup() as opened:
        merchandiser.get_by_role("button", name="Try the guardrails on the past").click()

    backtest = opened.value
    expect(backtest.get_by_role("heading", name="Result")).to_be_visible()
    expect(backtest.locator(".cc-said")).to_contain_text("least acceptance 7.5 %")
    expect(backtest.get_by_label("Least acceptance, %")).to_have_value("7.5")
