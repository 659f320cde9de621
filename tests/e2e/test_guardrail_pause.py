"""The demo's promise: within five minutes the harmful offer is paused by evidence and its alert lies in the inbox."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack, shoot
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

    card.get_by_role("link", name="Read why and decide").click()
    merchandiser.get_by_role("link", name="Open the record").click()
    expect(merchandiser.get_by_text("verify_decisions")).to_be_visible()
    expect(merchandiser.get_by_role("cell", name="yes").first).to_be_visible()
    shoot(merchandiser, "evaluation-record")

    def is_delivered() -> bool:
        merchandiser.goto(stack.inbox)
        return slug in merchandiser.content()

    wait_until(is_delivered, 60)
    shoot(merchandiser, "inbox")


def test_verify_decisions__recomputes_the_pause_from_its_record(stack: Stack) -> None:
    wait_until(lambda: paused_by_guardrail(stack), FIVE_MINUTES)

    outcome = stack.manage("verify_decisions")

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_healthy_offer__runs_on(stack: Stack) -> None:
    wait_until(lambda: paused_by_guardrail(stack), FIVE_MINUTES)
    experiments = stack.api("GET", "/catalog/experiments").json()

    running = [entry for entry in experiments if entry["status"] == "running" and entry["variants"][0]["metrics"]]

    assert running, json.dumps(experiments, indent=1)[:3000]
