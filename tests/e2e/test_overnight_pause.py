"""The demo's promise: within five minutes the harmful offer is paused by evidence and its alert lies in the inbox."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Stack, log_in, shoot
from tests.e2e.test_pages import Scheme, serious_findings, unfold
from tests.processes import wait_until

FIVE_MINUTES = 300


def paused_by_guardrail(stack: Stack) -> list[str]:
    """Return the slugs of the experiments that a guardrail paused."""
    experiments = stack.api("GET", "/catalog/experiments").json()
    return [entry["slug"] for entry in experiments if entry.get("pause_cause") in ("breached", "outage")]


def test_harmful_offer__paused_by_evidence__alert_in_the_inbox(stack: Stack, merchandiser: Page) -> None:
    wait_until(lambda: paused_by_guardrail(stack), FIVE_MINUTES)
    slugs = paused_by_guardrail(stack)
    assert len(slugs) == 1, "only the harmful experiment is paused"
    slug = slugs[0]

    merchandiser.goto("/admin/merchandising/bundles")
    card = merchandiser.locator(f"[data-experiment='{slug}']")
    expect(card).to_contain_text("Paused by guardrail")
    expect(card).to_contain_text("orders took the bundle")
    shoot(merchandiser, "control-center-paused")

    def is_confirmed() -> bool:
        merchandiser.goto("/admin/merchandising/bundles")
        return "Control confirmed at" in card.inner_text()

    wait_until(is_confirmed, 60)


def test_alert_mail__leads_to_the_page_that_explains_the_pause(stack: Stack, merchandiser: Page) -> None:
    [slug] = paused_by_guardrail(stack)
    merchandiser.goto(link_of_the_mail(stack, merchandiser, slug))

    expect(merchandiser.get_by_role("heading", name=re.compile("^Why .* was paused$"))).to_be_visible()
    for label in ("Measured, test", "Limit", "Evidence", "Control, same time"):
        expect(merchandiser.locator(".cc-figure").filter(has_text=label)).to_be_visible()
    chart = merchandiser.get_by_role("img", name=re.compile("The evidence grew to"))
    expect(chart).to_be_visible()
    merchandiser.get_by_text("Show as table").click()
    twin = merchandiser.get_by_role("region", name="Evidence over time")
    assert twin.get_by_role("row").count() > 2, "one row for each look of a path as young as this"
    estimate = merchandiser.get_by_role("region", name="The next day")
    expect(estimate.get_by_role("row").filter(has_text="test")).to_contain_text("about")


def test_page_of_the_pause__acknowledged__names_who_looks_after_it(stack: Stack, merchandiser: Page) -> None:
    [slug] = paused_by_guardrail(stack)
    merchandiser.goto(link_of_the_mail(stack, merchandiser, slug))

    merchandiser.get_by_role("button", name="Acknowledge").click()

    expect(merchandiser.locator(".cc-choices")).to_contain_text("Acknowledged by")
    expect(merchandiser.get_by_role("button", name="Acknowledge")).to_have_count(0)


def test_page_of_the_pause__leads_to_its_record(stack: Stack, merchandiser: Page) -> None:
    [slug] = paused_by_guardrail(stack)
    merchandiser.goto(link_of_the_mail(stack, merchandiser, slug))

    merchandiser.get_by_role("link", name="Evaluation record").click()

    expect(merchandiser.get_by_text("verify_decisions")).to_be_visible()
    expect(merchandiser.get_by_role("cell", name="yes").first).to_be_visible()
    shoot(merchandiser, "evaluation-record")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 390])
def test_page_of_the_pause__axe_and_width__nothing_serious(
    browser: Browser, stack: Stack, scheme: Scheme, width: int
) -> None:
    [slug] = paused_by_guardrail(stack)
    context = browser.new_context(
        base_url=stack.address, color_scheme=scheme, bypass_csp=True, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    log_in(page, "admin", stack.password)
    page.goto(link_of_the_mail(stack, page, slug))
    unfold(page)

    findings = serious_findings(page)
    scroll_width = page.evaluate("document.documentElement.scrollWidth")
    shoot(page, f"pause-{scheme}-{width}")
    context.close()

    assert findings == []
    assert scroll_width <= width


def link_of_the_mail(stack: Stack, page: Page, slug: str) -> str:
    """Open the inbox and return where the main button of the experiment's newest mail leads."""

    def is_delivered() -> bool:
        page.goto(stack.inbox)
        return page.locator(f"iframe[title*='{slug} was paused']").count() > 0

    wait_until(is_delivered, 60)
    mail = page.frame_locator(f"iframe[title*='{slug} was paused'] >> nth=0")
    button = mail.get_by_role("link").first
    expect(button).to_have_text("Read why and decide")
    return button.get_attribute("href") or ""


def test_verify_decisions__recomputes_the_pause_from_its_record(stack: Stack) -> None:
    wait_until(lambda: paused_by_guardrail(stack), FIVE_MINUTES)

    outcome = stack.manage("verify_decisions")

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_healthy_offer__runs_on(stack: Stack) -> None:
    wait_until(lambda: paused_by_guardrail(stack), FIVE_MINUTES)
    experiments = stack.api("GET", "/catalog/experiments").json()

    running = [entry for entry in experiments if entry["status"] == "running" and entry["variants"][0]["metrics"]]

    assert running, json.dumps(experiments, indent=1)[:3000]


def test_resume__from_the_page_of_the_pause__opens_a_second_phase(merchandiser: Page, stack: Stack) -> None:
    [slug] = paused_by_guardrail(stack)
    merchandiser.goto("/admin/merchandising/bundles")
    merchandiser.locator(f"[data-experiment='{slug}']").get_by_role("link", name="Read why and decide").click()
    page_of_the_pause = merchandiser.url

    merchandiser.get_by_role("link", name="Resume with a reason").click()
    expect(merchandiser.get_by_text("a new phase opens and counts from zero")).to_be_visible()
    merchandiser.get_by_label("Why").fill("The tea set has a new picture")
    merchandiser.get_by_role("button", name="Resume").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("Collecting")
    expect(merchandiser.locator(".cc-timeline")).to_contain_text("Resumed by admin")
    merchandiser.goto(page_of_the_pause)
    expect(merchandiser.get_by_text("Nothing to decide here: the experiment is running")).to_be_visible()
