"""The draft page in a browser: rows are added without a round trip, and what is typed there is stored."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.e2e.conftest import Stack


def test_add_row__variant_and_ramp_steps__are_saved_with_the_draft(merchandiser: Page, stack: Stack) -> None:
    merchandiser.goto("/admin/merchandising/bundles/new")
    merchandiser.get_by_label("Name", exact=True).first.fill("Rows")
    merchandiser.get_by_label("Slug").fill("rows")
    for name in ("A", "B"):
        merchandiser.get_by_role("button", name="Add a variant").click()
        merchandiser.locator("[name$=-key]").last.fill(f"extra-{name.lower()}")
    merchandiser.get_by_text("Ramp: let the traffic grow").click()
    merchandiser.get_by_role("button", name="Add a step").click()
    for place, share in enumerate(("4", "100")):
        merchandiser.locator(f"[name=ramp-{place}-coverage_percent]").fill(share)
    for weight in merchandiser.locator("[name$=-weight]").all():
        weight.fill("1")
    merchandiser.get_by_role("button", name="Create draft").click()
    merchandiser.wait_for_url("**/bundles/rows")

    draft = stack.api("GET", "/catalog/experiments/rows").json()
    assert [variant["key"] for variant in draft["variants"]] == ["control", "test", "extra-a", "extra-b"]
    assert [step["coverage"] for step in draft["ramp_plan"]] == [400, 10_000]
    assert merchandiser.get_by_text("Ramp of 2 steps: 4 %, 100 %.").is_visible()
