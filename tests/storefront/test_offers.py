"""What stands in the slot: the decision's offer, control when it cannot be shown, and promises that hold."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import time_machine
from django.db import transaction

from catalog_experiments import publication
from storefront import decisions, document
from storefront.decisions import Decision
from storefront.models import StockState
from storefront.offers import OfferBroken, Slot, build_offer, decision_of_stamp, fill_slot, promise, stamp_page
from tests.builders import NOON, make_bundle, make_running_experiment
from tests.storefront.conftest import Hold
from tests.storefront.entries import BUNDLE, make_entry, make_variant
from tests.storefront.goods import make_product, make_shelf

pytestmark = pytest.mark.django_db


def decision_on_cup(unit_id: str = "someone") -> Decision | None:
    return decisions.decide(unit_id, {}, product_slug="cup")


def test_build_offer__bundle__has_its_products_and_saving() -> None:
    make_shelf()

    offer = build_offer(BUNDLE, {})

    assert offer is not None
    assert [item.product.slug for item in offer.items] == ["cup", "saucer"]
    assert (offer.price_minor, offer.list_price_minor, offer.saving_minor) == (3240, 3600, 360)
    assert (offer.title, offer.badge) == ("Take the saucer with the cup", "Save 10 %")


def test_arrangement__many_pieces__fit_on_the_picture_in_proportion() -> None:
    make_product("cup", art="teapot")
    make_product("saucer", art="bowl")

    offer = build_offer({**BUNDLE, "components": [{"slug": "cup"}, {"slug": "saucer", "quantity": 4}]}, {})

    assert offer is not None
    (_, first_left, pot), *bowls = offer.arrangement
    assert first_left >= 0
    assert bowls[-1][1] + bowls[-1][2] <= 400
    assert pot / bowls[0][2] == pytest.approx(380 / 260, rel=0.05)


def test_build_offer__payload__replaces_the_copy_and_ignores_the_rest() -> None:
    make_shelf()

    offer = build_offer(BUNDLE, {"headline": "Two for one", "cta": "Take both", "campaign": {"id": 7}})

    assert offer is not None
    assert (offer.title, offer.cta, offer.badge) == ("Two for one", "Take both", "Save 10 %")


def test_build_offer__no_price__costs_the_sum_of_its_parts() -> None:
    make_shelf()

    offer = build_offer({**BUNDLE, "price_minor": None}, {})

    assert offer is not None
    assert (offer.price_minor, offer.saving_minor) == (3600, 0)


def test_build_offer__variant_without_bundle__is_no_offer() -> None:
    assert build_offer(None, {"headline": "nothing"}) is None


@pytest.mark.parametrize("payload", [{"headline": 7}, {"badge": ["x"]}, {"body": "x" * 301}])
def test_build_offer__payload_of_wrong_shape__is_refused(payload: dict[str, Any]) -> None:
    make_shelf()

    with pytest.raises(OfferBroken):
        build_offer(BUNDLE, payload)


def test_build_offer__unknown_product_or_sold_out__is_refused() -> None:
    cup = make_product("cup")
    with pytest.raises(OfferBroken, match="saucer"):
        build_offer(BUNDLE, {})

    make_product("saucer", stock_state=StockState.OUT_OF_STOCK)

    with pytest.raises(OfferBroken, match="sold out"):
        build_offer(BUNDLE, {})
    assert cup.is_available


def test_fill_slot__variant_cannot_be_shown__falls_back_to_control(hold: Hold) -> None:
    cup = make_shelf()
    broken = make_variant("test", 0, 10_000, payload={"headline": 7})
    plain = make_variant("control", 0, 0, bundle={**BUNDLE, "slug": "plain", "title": "Plain"})
    hold(make_entry(variants=[plain, broken]))

    slot = fill_slot(cup, decision_on_cup())

    assert slot.is_fallback
    assert slot.offer is not None
    assert slot.offer.title == "Plain"
    assert slot.decision is not None
    assert slot.decision.variant_key == "test"


def test_fill_slot__not_even_control__leaves_the_page_without_offer(hold: Hold) -> None:
    cup = make_product("cup")
    hold(make_entry(variants=[make_variant("control", 0, 0), make_variant("test", 0, 10_000)]))

    slot = fill_slot(cup, decision_on_cup())

    assert slot.offer is None
    assert slot.is_fallback


def test_fill_slot__no_experiment__shows_the_baseline_with_the_smallest_priority() -> None:
    cup = make_shelf()
    make_bundle(bundle_slug="second", cms_priority=50, cms_override={"headline": "Second"})
    make_bundle(bundle_slug="first", cms_priority=5, cms_override={"headline": "First"})
    make_bundle(bundle_slug="silent", cms_priority=1)

    slot = fill_slot(cup, None)

    assert slot.offer is not None
    assert slot.offer.title == "First"


def test_fill_slot__no_experiment_and_no_baseline__is_empty() -> None:
    slot = fill_slot(make_shelf(), None)

    assert slot.offer is None


def test_promise__enrolled__names_variant_version_and_unit(hold: Hold) -> None:
    cup = make_shelf()
    hold(make_entry(variants=[make_variant("control", 0, 0), make_variant("test", 0, 10_000)]))
    slot = fill_slot(cup, decision_on_cup())

    kept = promise(slot, now=NOON, unit_id="someone")

    assert kept["experiment"] == "cup-saucer"
    assert (kept["variant"], kept["document_version"], kept["unit"]) == ("test", 7, "someone")
    assert kept["price_minor"] == 3240
    assert dt.datetime.fromisoformat(kept["valid_until"]) == NOON + dt.timedelta(hours=24)


def test_promise__not_enrolled_or_fallback__names_no_experiment(hold: Hold) -> None:
    cup = make_shelf()
    hold(make_entry(status="paused", variants=[make_variant("control", 0, 10_000), make_variant("test", 0, 0)]))
    slot = fill_slot(cup, decision_on_cup())

    kept = promise(slot, now=NOON, unit_id="someone")

    assert not {"experiment", "variant", "unit"} & kept.keys()


def test_promise__empty_slot__raises() -> None:
    with pytest.raises(OfferBroken):
        promise(Slot(None, None), now=NOON, unit_id="someone")


def test_stamp__paused_meanwhile__gives_the_decision_that_was_shown() -> None:
    cup = make_shelf()
    experiment = make_running_experiment(now=NOON)
    _publish()
    shown = decision_on_cup()
    stamp = stamp_page(cup, fill_slot(cup, shown), "someone")
    experiment.status = "paused"
    experiment.save()
    _publish()

    seen = decision_of_stamp(cup, stamp, "someone", {}, decision_on_cup())

    assert shown is not None
    assert seen == shown
    assert seen is not None
    assert seen.is_enrolled


def test_stamp__of_another_visitor_forged_or_old__gives_the_present() -> None:
    cup = make_shelf()
    experiment = make_running_experiment(now=NOON)
    _publish()
    stamp = stamp_page(cup, fill_slot(cup, decision_on_cup()), "someone")
    with time_machine.travel(dt.datetime.now(dt.UTC) - dt.timedelta(hours=25)):
        old = stamp_page(cup, fill_slot(cup, decision_on_cup()), "someone")
    experiment.status = "paused"
    experiment.save()
    _publish()
    present = decision_on_cup()

    assert decision_of_stamp(cup, stamp, "other", {}, present) is present
    assert decision_of_stamp(cup, "1:forged", "someone", {}, present) is present
    assert decision_of_stamp(cup, old, "someone", {}, present) is present


def test_stamp__version_no_longer_kept__gives_the_present() -> None:
    cup = make_shelf()
    make_running_experiment(now=NOON)
    _publish()
    shown = decision_on_cup()
    assert shown is not None
    gone = Slot(shown._replace(document_version=99), None)

    assert decision_of_stamp(cup, stamp_page(cup, gone, "someone"), "someone", {}, shown) is shown


def test_stamp__says_nothing_of_the_experiment(hold: Hold) -> None:
    cup = make_shelf()
    hold(make_entry())

    stamp = stamp_page(cup, fill_slot(cup, decision_on_cup()), "someone")

    assert "cup-saucer" not in stamp
    assert stamp.startswith("7:")


def _publish() -> None:
    with transaction.atomic():
        publication.publish_document(now=NOON)
    document.reader().refresh()
