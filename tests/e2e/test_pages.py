"""The pages people open: accessible in light and dark, no sideways scrolling on a phone, no policy violation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.conftest import Stack, log_in, shoot

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
ADMIN_PAGES = {
    "control-center": "/admin/merchandising/bundles",
    "drafts": "/admin/merchandising/bundles?view=drafts",
    "new-experiment": "/admin/merchandising/bundles/new",
    "experiments": "/admin/catalog_experiments/experiment/",
    "bundles": "/admin/catalog_experiments/bundle/",
    "jobs": "/admin/catalog_experiments/jobrun/",
    "alerts": "/admin/notifications/alert/",
}
Scheme = Literal["light", "dark"]
SERIOUS = ("serious", "critical")


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ADMIN_PAGES)
def test_admin_page__axe__finds_nothing_serious(browser: Browser, stack: Stack, name: str, scheme: Scheme) -> None:
    context = browser.new_context(
        base_url=stack.address, color_scheme=scheme, bypass_csp=True, viewport={"width": 1360, "height": 1000}
    )
    page = context.new_page()
    log_in(page, "admin", stack.password)
    page.goto(ADMIN_PAGES[name])
    page.wait_for_load_state("networkidle")

    findings = serious_findings(page)
    shoot(page, f"{name}-{scheme}")
    context.close()

    assert findings == []


@pytest.mark.parametrize("name", ["control-center", "new-experiment"])
def test_admin_page__on_a_phone__does_not_scroll_sideways(browser: Browser, stack: Stack, name: str) -> None:
    context = browser.new_context(base_url=stack.address, viewport={"width": 390, "height": 844})
    page = context.new_page()
    log_in(page, "admin", stack.password)
    page.goto(ADMIN_PAGES[name])

    width = page.evaluate("document.documentElement.scrollWidth")
    shoot(page, f"{name}-narrow")
    context.close()

    assert width <= 390


def test_admin_pages__content_policy__refuses_nothing(merchandiser: Page) -> None:
    refused: list[str] = []
    merchandiser.on(
        "console", lambda message: refused.append(message.text) if "Content Security" in message.text else None
    )

    for address in ADMIN_PAGES.values():
        merchandiser.goto(address)

    assert refused == []
