"""How the storefront says how it is."""

from __future__ import annotations

import datetime as dt

import pytest

from storefront import document, probes, shop
from tests.storefront.conftest import Hold
from tests.storefront.entries import make_entry
from tests.storefront.goods import make_shelf

pytestmark = pytest.mark.django_db


def test_document_age__fresh__names_the_version(hold: Hold) -> None:
    hold(make_entry())

    name, is_well, detail = probes.document_age()

    assert (name, is_well) == ("storefront_document", True)
    assert "version 7" in detail


def test_document_age__lease_ran_out__says_that_pages_serve_control(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(make_entry())
    monkeypatch.setattr(document.reader(), "_confirmed_at", float("-inf"))

    _, is_well, detail = probes.document_age()

    assert not is_well
    assert "control" in detail


def test_order_reports__order_waits_for_long__is_said_but_keeps_the_site_ready() -> None:
    now = dt.datetime.now(dt.UTC)
    shop.add_product("visitor-0123456789", make_shelf(), now=now)
    shop.place_order("visitor-0123456789", {}, now=now - dt.timedelta(minutes=6))

    name, is_ready, waiting = probes.order_reports()
    shop.report_due(now=now)

    assert (name, is_ready) == ("storefront_orders", True)
    assert waiting.startswith("1 orders")
    assert probes.order_reports()[2].startswith("0 orders")


def test_metrics__families__have_a_value_each(hold: Hold) -> None:
    hold(make_entry())

    values = {family.name: family.samples[0].value for family in probes.collect_metrics()}

    assert values["smplat_storefront_document_version"] == 7
    assert 0 <= values["smplat_storefront_document_age_seconds"] < 5
    assert values["smplat_storefront_unreported_orders"] == 0
