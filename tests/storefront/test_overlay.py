"""The staff overlay: who may see it, what it says, and the three rules inherited from the original."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from catalog_experiments.models import Experiment, Exposure, Variant, VariantMetric
from catalog_experiments.publication import ExperimentBadge, VariantBadge, telemetry_badges
from catalog_experiments.seeding import seed_qa_experiment
from storefront.insiders import sign_link
from storefront.overlay import BundleEntry, filter_for_recommendations, has_guardrail_breaches, index_by_bundle
from tests.builders import make_running_experiment
from tests.storefront.goods import make_shelf

PAGE = "/products/cup"
AGENT = {"user-agent": "Mozilla/5.0 (X11) Firefox/140.0"}


def make_badge(slug: str = "cup-saucer", status: str = "running", **bundles: str | None) -> ExperimentBadge:
    variants = tuple(make_variant_badge(key, bundle) for key, bundle in (bundles or {"test": "pair"}).items())
    return ExperimentBadge(slug, slug.title(), status, "healthy", "cup", "", {}, variants)


def make_variant_badge(key: str, bundle_slug: str | None, *, flagged: bool = False) -> VariantBadge:
    return VariantBadge(
        key=key,
        name=key.title(),
        is_control=key == "control",
        bundle_slug=bundle_slug,
        sample_size=1000,
        acceptance_count=180,
        acceptance_rate=0.18,
        lift=None,
        lift_interval=None,
        guardrail_breached=flagged,
        breach_reasons=(),
        verdict="healthy",
        computed_at=None,
    )


def test_filter__recommended_bundles__keeps_experiments_that_touch_one() -> None:
    touching, other = make_badge("a", test="pair"), make_badge("b", test="set")

    assert filter_for_recommendations([touching, other], {"pair"}) == (touching,)


def test_filter__nothing_recommended__keeps_all() -> None:
    badges = [make_badge("a", test="pair"), make_badge("b", test="set")]

    assert filter_for_recommendations(badges, set()) == tuple(badges)


def test_index__by_bundle__holds_flag_and_sample_and_skips_variants_without_bundle() -> None:
    badges = [make_badge("a", control=None, test="pair"), make_badge("b", test="pair")]

    index = index_by_bundle(badges)

    assert set(index) == {"pair"}
    assert [(entry.experiment_slug, entry.variant_key) for entry in index["pair"]] == [("a", "test"), ("b", "test")]
    assert index["pair"][0] == BundleEntry("a", "A", "running", "test", False, False, 0.18, 1000)


@pytest.mark.parametrize(
    ("status", "flagged", "expected"),
    [("running", False, False), ("running", True, True), ("paused", False, True), ("paused", True, True)],
)
def test_breaches__flagged_or_paused__count(status: str, flagged: bool, expected: bool) -> None:
    entry = BundleEntry("a", "A", status, "test", False, flagged, 0.1, 10)

    assert has_guardrail_breaches([entry]) is expected


def test_breaches__nothing__is_none() -> None:
    assert not has_guardrail_breaches([])


@pytest.fixture
def guest(client: Client) -> Iterator[Client]:
    client.defaults["HTTP_USER_AGENT"] = AGENT["user-agent"]
    return client  # type: ignore[return-value]  # pytest takes values as well


@pytest.fixture
def experiment(publish: Callable[[dt.datetime], int]) -> Experiment:
    make_shelf()
    now = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    found = make_running_experiment(now=now)
    publish(now)
    return found


@pytest.mark.django_db
def test_link__signed__opens_the_overlay_without_leaving_its_token_in_the_address(
    guest: Client, experiment: Experiment
) -> None:
    response = guest.get(PAGE, {"overlay": sign_link({})}, follow=True)

    assert response.redirect_chain == [(PAGE, 302)]
    assert "Experiments on this page" in response.content.decode()
    assert "link valid until" in response.content.decode()
    assert not Exposure.objects.filter(excluded_as=None).exists()


@pytest.mark.django_db
def test_link__forged_or_too_old__opens_nothing(guest: Client, experiment: Experiment) -> None:
    with time_machine.travel(dt.datetime.now(dt.UTC) - dt.timedelta(hours=9)):
        old = sign_link({})

    for token in ("forged", "a:b:c", old, ""):
        page = guest.get(PAGE, {"overlay": token}, follow=True).content.decode()

        assert "Experiments on this page" not in page
        assert "no longer valid" in page


@pytest.mark.django_db
def test_link__opened_long_ago__closes_with_its_time(guest: Client, experiment: Experiment) -> None:
    guest.get(PAGE, {"overlay": sign_link({})})

    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(hours=9)):
        page = guest.get(PAGE).content.decode()

    assert "Experiments on this page" not in page


@pytest.mark.django_db
def test_link__with_a_forced_variant__shows_it_and_says_why(guest: Client, experiment: Experiment) -> None:
    token = sign_link({experiment.slug: "test"})

    page = guest.get(PAGE, {"overlay": token}, follow=True).content.decode()

    assert "cup-saucer: test" in page
    assert "reason TARGETING_MATCH" in page


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["control", "test"])
def test_force__either_variant__is_shown_for_the_session_and_never_counted(
    guest: Client, experiment: Experiment, admin_user: User, key: str
) -> None:
    guest.force_login(admin_user)

    guest.post(reverse("storefront:overlay-force"), {"experiment": experiment.slug, "variant": key, "next": PAGE})
    forced = guest.get(PAGE).content.decode()
    guest.post(reverse("storefront:overlay-force"), {"experiment": experiment.slug, "variant": "", "next": PAGE})
    own = guest.get(PAGE).content.decode()

    assert f"cup-saucer: {key}" in forced
    assert "reason TARGETING_MATCH" in forced
    assert "reason SPLIT" in own
    assert not Exposure.objects.filter(excluded_as=None).exists()


@pytest.mark.django_db
def test_force__shopper__finds_no_such_page(guest: Client, experiment: Experiment) -> None:
    response = guest.post(reverse("storefront:overlay-force"), {"experiment": experiment.slug, "variant": "test"})

    assert response.status_code == 404


@pytest.mark.django_db
def test_force__back_to_another_site__goes_home(guest: Client, experiment: Experiment, admin_user: User) -> None:
    guest.force_login(admin_user)

    response = guest.post(reverse("storefront:overlay-force"), {"hidden": "1", "next": "https://evil.example/"})

    assert response.headers["Location"] == "/"


@pytest.mark.django_db
def test_hide__staff__sees_the_shop_as_it_is_and_stays_uncounted(
    guest: Client, experiment: Experiment, admin_user: User
) -> None:
    guest.force_login(admin_user)

    guest.post(reverse("storefront:overlay-force"), {"hidden": "1", "next": PAGE})
    page = guest.get(PAGE).content.decode()

    assert "Experiments on this page" not in page
    assert "Show the staff panel" in page
    assert not Exposure.objects.filter(excluded_as=None).exists()


@pytest.mark.django_db
def test_overlay__numbers__are_the_latest_of_each_variant(
    guest: Client, experiment: Experiment, admin_user: User
) -> None:
    guest.force_login(admin_user)
    for day, taken in ((1, 10), (2, 70)):
        for variant in experiment.variants.all():
            _metric(variant, day, taken)

    page = guest.get(PAGE).content.decode()

    assert "7.00 %" in page
    assert "1.00 %" not in page
    assert "Guardrail at least 10 %: collecting." in page


@pytest.mark.django_db
def test_overlay__paused_experiment__warns_with_the_reason(
    guest: Client, experiment: Experiment, admin_user: User, publish: Callable[[dt.datetime], int]
) -> None:
    guest.force_login(admin_user)
    experiment.status, experiment.pause_reason = "paused", "Too few took it."
    experiment.save()
    publish(dt.datetime.now(dt.UTC))

    page = guest.get(PAGE).content.decode()

    assert "cup-saucer: paused, control shown" in page
    assert "cup-saucer is paused: Too few took it." in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("reasons", "is_warned"), [(["sample_size"], False), (["sample_size", "min_acceptance_rate"], True)]
)
def test_overlay__flag_for_too_few_orders_alone__is_no_warning(
    guest: Client, experiment: Experiment, admin_user: User, reasons: list[str], is_warned: bool
) -> None:
    guest.force_login(admin_user)
    for variant in experiment.variants.all():
        _metric(variant, 1, 10)
    VariantMetric.objects.update(guardrail_breached=True, breach_reasons=reasons)

    page = guest.get(PAGE).content.decode()

    assert ("fewer take the offer than the limit allows" in page) is is_warned


@pytest.mark.django_db
def test_badges__seeded_experiment__has_its_numbers_flag_and_lift() -> None:
    seed_qa_experiment(now=dt.datetime.now(dt.UTC))

    [badge] = telemetry_badges()

    control, variant = badge.variants
    assert (control.acceptance_rate, control.lift, control.guardrail_breached) == (0.18, 0.0, False)
    assert (variant.acceptance_rate, variant.lift, variant.guardrail_breached) == (0.095, -0.4722, True)
    assert badge.anchor_product_slug == "qa-primary-product"
    assert badge.bundles == {"qa-catalog-control", "qa-catalog-variant"}


def _metric(variant: Variant, day: int, taken: int) -> None:
    moment = dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC)
    VariantMetric.objects.create(
        experiment=variant.experiment,
        variant=variant,
        phase=variant.experiment.phases.get(),
        window_start=moment.date(),
        acceptance_rate=taken / 1000,
        acceptance_count=taken,
        sample_size=1000,
        computed_at=moment,
        watermark_at=moment,
    )
