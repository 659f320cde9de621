"""Bundles: what is refused, and what a change of one in use does to the experiments that offer it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from catalog_experiments import bundles, lifecycle, publication
from catalog_experiments.bundles import (
    BundleChanges,
    BundleInUse,
    BundleNotFound,
    BundleSpec,
    DuplicateBundle,
    InvalidBundle,
)
from catalog_experiments.models import Bundle, ExperimentEvent, Order, OrderOutcome
from tests.builders import NOON, make_bundle, make_experiment
from tests.catalog_experiments.acting import ACTOR, LATER, at_once, entry_of, last_event, pause, phase_of, publish

pytestmark = pytest.mark.django_db

SPEC = BundleSpec(
    bundle_slug="cup-saucer",
    primary_product_slug="cup",
    title="Take both",
    components=["cup", {"slug": "saucer", "quantity": 2}],
)


def change(slug: str, **changes: Any) -> Bundle:
    return bundles.update_bundle(slug, BundleChanges(**changes), actor=ACTOR, now=LATER)


ENDINGS = [partial(change, is_active=False), partial(bundles.delete_bundle, actor=ACTOR, now=LATER)]


def test_create__of_a_bundle__stores_it_with_an_event() -> None:
    bundle = bundles.create_bundle(SPEC, actor=ACTOR, now=NOON)

    assert bundle.components == [{"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 2}]
    event = ExperimentEvent.objects.get()
    assert (event.experiment_slug, event.action, event.after["title"]) == ("bundle:cup-saucer", "create", "Take both")


def test_create__with_a_taken_slug__is_refused() -> None:
    bundles.create_bundle(SPEC, actor=ACTOR, now=NOON)

    with pytest.raises(DuplicateBundle):
        bundles.create_bundle(SPEC, actor=ACTOR, now=NOON)

    assert (Bundle.objects.count(), ExperimentEvent.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"bundle_slug": "a/b"}, "bundle_slug"),
        ({"title": ""}, "title"),
        ({"cms_priority": 201}, "cms_priority"),
        ({"price_minor": -1}, "price_minor"),
        ({"price_minor": 9.5}, "price_minor"),
        ({"currency": "euro"}, "currency"),
        ({"is_active": 1}, "is_active"),
        ({"stock_state": "plenty"}, "stock_state"),
        ({"components": "cup"}, "components"),
        ({"components": [{"slug": "cup"}]}, "components[0]"),
        ({"components": [{"slug": "cup", "quantity": 0}]}, "components[0].quantity"),
        ({"cms_override": {"link": "//evil.example"}}, "cms_override.link"),
    ],
)
def test_create__with_a_fault__names_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidBundle) as refused:
        bundles.create_bundle(
            BundleSpec(**({"bundle_slug": "x", "primary_product_slug": "cup", "title": "X"} | fields)),
            actor=ACTOR,
            now=NOON,
        )

    assert [error.field for error in refused.value.errors] == [path]


def test_update__of_what_shoppers_see__opens_a_phase_and_publishes() -> None:
    running = publish(make_experiment())

    change("cup-saucer-test", price_minor=2990)

    assert phase_of(running).number == 2
    assert entry_of("cup-saucer")["variants"][1]["bundle"]["price_minor"] == 2990
    event = last_event(running)
    assert (event.action, event.reason) == ("bundle", "cup-saucer-test changed: price_minor")


def test_update__of_what_shoppers_do_not_see__keeps_the_phase() -> None:
    running = publish(make_experiment())

    change("cup-saucer-test", cost_minor=1, stock_state="low", cms_override={"badge": "New"})

    assert phase_of(running).number == 1
    assert publication.newest_version() == 1


def test_update__for_a_paused_experiment__is_shown_at_once_and_is_a_new_treatment_at_resume() -> None:
    running = publish(make_experiment())
    pause(running)

    change("cup-saucer-control", title="Now with a spoon")

    assert entry_of("cup-saucer")["variants"][0]["bundle"]["title"] == "Now with a spoon"
    assert phase_of(running).number == 1
    lifecycle.resume(running.pk, actor=ACTOR, now=LATER)
    assert phase_of(running).number == 2


def test_update__without_a_change__writes_nothing() -> None:
    make_bundle(bundle_slug="idle")

    change("idle", title="Take the saucer with the cup")

    assert not ExperimentEvent.objects.exists()


def test_update__of_a_bundle_with_an_old_fault__refuses_only_what_is_changed() -> None:
    make_bundle(bundle_slug="old", components=["cup"])

    assert change("old", title="Renamed").title == "Renamed"


@pytest.mark.parametrize("end", ENDINGS, ids=["deactivate", "delete"])
def test_bundle__in_use__can_neither_be_deactivated_nor_deleted(end: Callable[[str], object]) -> None:
    publish(make_experiment())

    with pytest.raises(BundleInUse, match="offered by cup-saucer") as refused:
        end("cup-saucer-test")

    assert refused.value.experiments == ("cup-saucer",)
    assert Bundle.objects.get(bundle_slug="cup-saucer-test").is_active


def test_delete__of_a_bundle_a_draft_names__takes_it_from_the_draft() -> None:
    draft = make_experiment()

    bundles.delete_bundle("cup-saucer-test", actor=ACTOR, now=NOON)

    assert draft.variants.get(key="test").bundle is None
    draft.refresh_from_db()
    assert draft.lock_version == 1
    assert last_event(draft).before == {"bundle_slug": "cup-saucer-test", "variants": ["test"]}
    assert not Bundle.objects.filter(bundle_slug="cup-saucer-test").exists()


def test_delete__of_a_bundle_that_orders_were_counted_for__is_refused() -> None:
    bundle = make_bundle(bundle_slug="sold")
    order = Order.objects.create(
        order_ref="order-1",
        placed_at=NOON,
        revenue_minor=1,
        currency="EUR",
        recorded_at=NOON,
        revised_at=NOON,
        content_digest="00000000-0000-0000-0000-000000000001",
    )
    OrderOutcome.objects.create(order=order, bundle=bundle, accepted=True)

    with pytest.raises(BundleInUse, match="deactivate it instead"):
        bundles.delete_bundle("sold", actor=ACTOR, now=NOON)

    assert Bundle.objects.filter(bundle_slug="sold").exists()
    assert not ExperimentEvent.objects.exists()


@pytest.mark.parametrize("end", ENDINGS, ids=["deactivate", "delete"])
def test_bundle__that_does_not_exist__is_not_found(end: Callable[[str], object]) -> None:
    with pytest.raises(BundleNotFound):
        end("nobody")


@pytest.mark.django_db(transaction=True)
def test_update__while_an_experiment_is_published__never_serves_the_old_offer() -> None:
    for number in range(10):
        draft = make_experiment(slug=f"run-{number}", name="Run")
        slug, price = f"run-{number}-test", 5000 + number

        raised = at_once(partial(publish, draft), partial(change, slug, price_minor=price))

        assert raised == [None, None]
        assert entry_of(draft.slug)["variants"][1]["bundle"]["price_minor"] == price
