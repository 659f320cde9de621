"""The runbook's launch checklist and its rollback, step by step, as a merchandiser clicks through them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Stack, shoot
from tests.processes import wait_until

SLUG = "e2e-teapot"


@pytest.fixture(scope="module")
def bundles(stack: Stack) -> tuple[str, str]:
    """Make two bundles on a product page that no demo experiment uses; return control and test slug."""
    products = {"e2e-control": "Baseline offer", "e2e-test": "Teapot with two cups"}
    for slug, title in products.items():
        answer = stack.api(
            "POST",
            "/catalog/bundles/",
            json={
                "bundleSlug": slug,
                "primaryProductSlug": free_product(stack),
                "title": title,
                "savingsCopy": "Save 10 %",
                "components": [{"slug": free_product(stack), "quantity": 1}, {"slug": "saucer", "quantity": 1}],
            },
        )
        assert answer.status_code == 201, answer.text
    return "e2e-control", "e2e-test"


def free_product(stack: Stack) -> str:
    """Return a product page of the demo shop on which no experiment runs."""
    taken = {
        bundle["primaryProductSlug"]
        for experiment in stack.api("GET", "/catalog/experiments").json()
        for variant in experiment["variants"]
        for bundle in [stack.api("GET", f"/catalog/bundles/{variant['bundle_slug']}").json()]
        if variant["bundle_slug"] and experiment["slug"] != SLUG
    }
    shop = {"sugar-bowl", "milk-jug", "dinner-plate", "teapot", "mug", "espresso-cup", "plate", "bowl", "cake-plate"}
    listed = [slug for slug in sorted(shop - taken) if stack_has_product(stack, slug)]
    assert listed, "the demo shop has no product page without experiment"
    return listed[0]


def stack_has_product(stack: Stack, slug: str) -> bool:
    """Say whether the shop has a page for this product."""
    import requests

    return requests.get(f"{stack.address}/products/{slug}", timeout=10).status_code == 200


def test_step_1_jobs__scheduled_and_seen_to_run(merchandiser: Page, stack: Stack) -> None:
    def has_run() -> bool:
        merchandiser.goto("/admin/catalog_experiments/jobrun/")
        text = merchandiser.locator("#content").inner_text()
        return "bundle-acceptance-aggregation" in text and "bundle-guardrail-evaluation" in text

    wait_until(has_run, 130)

    expect(merchandiser.locator("#content")).to_contain_text("Done")


def test_step_2_bundles__listed_with_their_acceptance(merchandiser: Page, bundles: tuple[str, str]) -> None:
    merchandiser.goto("/admin/catalog_experiments/bundle/?q=e2e")

    expect(merchandiser.locator("#content")).to_contain_text(bundles[0])
    expect(merchandiser.locator("#content")).to_contain_text(bundles[1])


def test_step_3_draft__created_with_slugs_and_guardrails(merchandiser: Page, bundles: tuple[str, str]) -> None:
    merchandiser.goto("/admin/merchandising/bundles")
    merchandiser.get_by_role("link", name="New experiment").click()
    merchandiser.get_by_label("Name", exact=True).first.fill("Teapot test")
    merchandiser.get_by_label("Slug").fill(SLUG)
    merchandiser.locator("#id_variants-0-bundle_slug").fill(bundles[0])
    merchandiser.locator("#id_variants-1-bundle_slug").fill(bundles[1])
    merchandiser.locator("#id_variants-1-override_payload").fill('{"headline": "Fired together"}')
    merchandiser.get_by_label("Orders before a verdict").fill("250")
    merchandiser.get_by_label("Least acceptance, %").fill("5")
    shoot(merchandiser, "draft")
    merchandiser.get_by_role("button", name="Create draft").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("Teapot test")
    expect(merchandiser.locator(".cc h1")).to_contain_text("Draft")


def test_step_3_draft__bad_values__errors_stand_beside_the_fields(merchandiser: Page, bundles: tuple[str, str]) -> None:
    merchandiser.goto("/admin/merchandising/bundles/new")
    merchandiser.get_by_label("Name", exact=True).first.fill("Broken")
    merchandiser.get_by_label("Slug").fill("Not/Safe")
    merchandiser.locator("#id_variants-0-bundle_slug").fill("no-such-bundle")
    merchandiser.locator("#id_variants-1-bundle_slug").fill(bundles[1])
    merchandiser.get_by_role("button", name="Create draft").click()

    errors = merchandiser.locator(".cc-error")
    expect(errors.filter(has_text=re.compile("slug", re.I))).not_to_have_count(0)
    expect(merchandiser.locator("[data-row='0'] .cc-error")).to_contain_text("no-such-bundle")


def test_step_4_publish__checklist_then_running(merchandiser: Page, stack: Stack) -> None:
    merchandiser.goto(f"/admin/merchandising/bundles/{SLUG}/preflight")
    expect(merchandiser.locator("[data-outcome='fail']")).to_have_count(0)
    shoot(merchandiser, "preflight")

    merchandiser.get_by_role("link", name="Publish overrides").click()
    expect(merchandiser.get_by_role("heading", name="What will happen")).to_be_visible()
    shoot(merchandiser, "publish")
    merchandiser.get_by_role("button", name="Publish overrides").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("Collecting")
    assert stack.api("GET", f"/catalog/experiments/{SLUG}").json()["status"] == "running"


def test_step_4_publish__seen_in_the_shop__card_says_live_confirmed(merchandiser: Page) -> None:
    card = merchandiser.locator(f"[data-experiment='{SLUG}']")

    def is_confirmed() -> bool:
        merchandiser.goto("/admin/merchandising/bundles")
        return "Live confirmed at" in card.inner_text()

    wait_until(is_confirmed, 60)

    expect(card.locator(".cc-sighting")).to_contain_text("UTC")


def test_step_5_storefront__shows_the_offer_with_provenance(visitor: Page, stack: Stack) -> None:
    product = stack.api("GET", "/catalog/bundles/e2e-test").json()["primaryProductSlug"]
    provenance = stack.api("GET", f"/catalog/experiments/{SLUG}").json()["provenance"]

    def offers_seen() -> set[str]:
        visitor.context.clear_cookies()
        visitor.goto(f"/products/{product}")
        return {title for title in ("Baseline offer", "Fired together") if title in visitor.content()}

    seen: set[str] = set()
    for _ in range(40):
        seen |= offers_seen()
    assert seen == {"Baseline offer", "Fired together"}
    assert provenance["source"] == "catalog-experiment-service"
    assert SLUG not in visitor.content(), "shoppers see nothing of the experiment"


def test_evaluate_now__shows_verdicts_and_stores_nothing(merchandiser: Page) -> None:
    merchandiser.goto(f"/admin/merchandising/bundles/{SLUG}")
    merchandiser.get_by_role("button", name="Evaluate now").click()

    expect(merchandiser.locator("[data-variant='test']")).to_contain_text("Collecting")
    expect(merchandiser.locator("[data-variant='test']")).to_contain_text("sample_size")


def test_rollback_1_pause__in_the_control_center__shoppers_see_control(merchandiser: Page, stack: Stack) -> None:
    merchandiser.goto(f"/admin/merchandising/bundles/{SLUG}")
    merchandiser.get_by_role("link", name="Pause").click()
    merchandiser.get_by_label("Why").fill("Looks odd on phones")
    merchandiser.get_by_role("button", name="Pause").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("Paused by a person")
    expect(merchandiser.locator(".cc-why")).to_contain_text("Looks odd on phones")
    assert stack.api("GET", f"/catalog/experiments/{SLUG}").json()["status"] == "paused"


def test_rollback_1_pause__storefront__serves_control_within_seconds(visitor: Page, stack: Stack) -> None:
    product = stack.api("GET", "/catalog/bundles/e2e-test").json()["primaryProductSlug"]

    def only_control() -> bool:
        for _ in range(20):
            visitor.context.clear_cookies()
            visitor.goto(f"/products/{product}")
            if "Fired together" in visitor.content():
                return False
        return True

    wait_until(only_control, 10)


def test_resume__a_person_had_paused__goes_on_in_the_same_phase(merchandiser: Page) -> None:
    merchandiser.goto(f"/admin/merchandising/bundles/{SLUG}/resume")
    merchandiser.get_by_role("button", name="Resume").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("Collecting")


def test_rollback_2_put__pauses_over_the_api(stack: Stack) -> None:
    answer = stack.api("PUT", f"/catalog/experiments/{SLUG}", json={"status": "paused"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "paused"


def test_rollback_3_override_expiry__pause_pushes_the_baseline(merchandiser: Page, stack: Stack) -> None:
    stack.api("POST", f"/catalog/experiments/{SLUG}/resume", json={"reason": "looked at it"})
    merchandiser.goto(f"/admin/merchandising/bundles/{SLUG}/pause")
    merchandiser.get_by_label("Why").fill("Campaign is over")
    merchandiser.get_by_label("Push CMS overrides back").check()
    merchandiser.get_by_role("button", name="Pause").click()

    merchandiser.goto(f"/admin/catalog_experiments/overridepublication/?q={SLUG}&is_rollback__exact=1")
    expect(merchandiser.locator("#content")).to_contain_text(SLUG)


def test_archive__complete_with_a_conclusion__is_final(merchandiser: Page, stack: Stack) -> None:
    merchandiser.goto(f"/admin/merchandising/bundles/{SLUG}/complete")
    merchandiser.get_by_label("Conclusion").select_option("inconclusive")
    merchandiser.get_by_label("Learnings").fill("Too few orders to say.")
    merchandiser.get_by_role("button", name="Complete").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("Completed")
    answer = stack.api("POST", f"/catalog/experiments/{SLUG}/publish", json={})
    assert answer.status_code == 409


def test_clone__of_a_completed_experiment__is_a_draft(merchandiser: Page) -> None:
    merchandiser.goto(f"/admin/merchandising/bundles/{SLUG}")
    merchandiser.get_by_role("link", name="Clone").click()
    merchandiser.get_by_role("button", name="Create draft").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("Draft")


def test_delete__a_draft__asks_first(merchandiser: Page, stack: Stack) -> None:
    merchandiser.goto(f"/admin/merchandising/bundles/{SLUG}-2/delete")
    merchandiser.get_by_role("button", name="Delete draft").click()

    expect(merchandiser.locator(".cc h1")).to_contain_text("control center")
    assert stack.api("GET", f"/catalog/experiments/{SLUG}-2").status_code == 404
