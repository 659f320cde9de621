"""A resumed experiment that still does harm is paused again, on evidence of its second phase, and a person ends it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack
from tests.e2e.test_overnight_pause import FIVE_MINUTES, paused_by_guardrail
from tests.processes import wait_until

HARMFUL = "tea-set-for-guests"
CARD = f"[data-experiment='{HARMFUL}']"


def test_complete__from_the_page_of_the_second_pause__ends_it(merchandiser: Page, stack: Stack) -> None:
    wait_until(lambda: paused_by_guardrail(stack), FIVE_MINUTES)
    merchandiser.goto("/admin/merchandising/bundles")
    merchandiser.locator(CARD).get_by_role("link", name="Read why and decide").click()
    expect(merchandiser.locator(".cc-meta")).to_contain_text("phase 2")

    merchandiser.get_by_role("link", name="Complete").click()
    merchandiser.get_by_label("Conclusion").select_option("lost")
    merchandiser.get_by_label("Learnings").fill("Two bowls are enough.")
    merchandiser.get_by_role("button", name="Complete").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("Completed")
    expect(merchandiser.locator(".cc-answer")).to_contain_text("Conclusion: Lost")
    assert stack.api("GET", f"/catalog/experiments/{HARMFUL}").json()["status"] == "completed"
