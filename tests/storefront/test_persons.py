"""One person everywhere: what the shop keeps is found, shown and forgotten together with telemetry."""

from __future__ import annotations

import datetime as dt
import json
import stat
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog_experiments.intake import AliasEvent, ExposureEvent, record_aliases, record_exposures
from catalog_experiments.models import ErasedUnit, Exposure, Order, Phase, PhaseOrigin
from storefront import shop
from storefront.models import Basket, BasketLine, ShopOrder
from storefront.persons import describe_person, erase_person, preview_erasure
from tests.builders import NOON, make_running_experiment
from tests.storefront.goods import make_product
from tests.storefront.test_shop import VISITOR, put_offer

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
LATER = NOON + 2 * HOUR
CUSTOMER, STRANGER = "customer:17850", "stranger-0123456789abcdef"
DELIVERY = {"name": "Mara Lind", "email": "mara@example.org", "street": "Quay 1"}


@pytest.fixture(autouse=True)
def left_behind() -> None:
    """Let a visitor who is a known customer meet a variant, order, and fill another basket; a stranger too."""
    make_running_experiment()
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    make_product("saucer")
    cup = make_product("cup")
    record_exposures([ExposureEvent("cup-saucer", VISITOR, "test", NOON)], now=LATER)
    record_aliases([AliasEvent(VISITOR, CUSTOMER)], now=LATER)
    put_offer()
    order = shop.place_order(VISITOR, DELIVERY, now=NOON)
    shop.report([order], now=NOON)
    shop.add_product(VISITOR, cup, now=LATER)
    shop.add_product(STRANGER, cup, now=LATER)


def run(name: str, *arguments: str) -> str:
    output = StringIO()
    call_command(name, *arguments, stdout=output)
    return output.getvalue()


def everything_in_the_shop() -> str:
    rows = [*Basket.objects.values(), *BasketLine.objects.values(), *ShopOrder.objects.values()]
    return str(rows)


@pytest.mark.parametrize("unit_id", [VISITOR, CUSTOMER])
def test_erase__either_id__empties_baskets_and_frees_orders_of_the_person(unit_id: str) -> None:
    erasure = erase_person(unit_id, follow_aliases=True, actor="user:mara", now=LATER)

    order = ShopOrder.objects.get()
    assert (erasure.baskets, erasure.orders, erasure.telemetry.exposures, erasure.telemetry.orders) == (1, 1, 1, 1)
    assert (order.visitor_id, order.unit_id, order.delivery) == ("", "", {})
    assert (order.total_minor, len(order.lines), order.offers[0]["bundle"]) == (3240, 2, "cup-and-saucer")
    assert Basket.objects.get().visitor_id == STRANGER
    for trace in (VISITOR, "Mara", "mara@example.org", "Quay"):
        assert trace not in everything_in_the_shop()


def test_erase__order_that_telemetry_has_not_heard_of__is_never_told() -> None:
    ShopOrder.objects.update(reported_at=None, unit_id=VISITOR)

    erase_person(VISITOR, follow_aliases=True, actor="user:mara", now=LATER)
    result = shop.report_due(now=LATER + HOUR)

    assert (result.reported, result.failed) == (0, 0)
    assert not Order.objects.exists()


def test_erase__only_this_id__of_a_customer_leaves_the_visitors_basket() -> None:
    erasure = erase_person(CUSTOMER, follow_aliases=False, actor="user:mara", now=LATER)

    assert (erasure.baskets, erasure.orders) == (0, 0)
    assert Basket.objects.filter(visitor_id=VISITOR).exists()
    assert Exposure.objects.exists()


def test_preview__foretells_the_erasure_and_changes_nothing() -> None:
    before = everything_in_the_shop()

    foretold = preview_erasure(CUSTOMER, follow_aliases=True)

    assert everything_in_the_shop() == before
    assert foretold == erase_person(CUSTOMER, follow_aliases=True, actor="user:mara", now=LATER)


def test_describe__holds_what_the_shop_keeps() -> None:
    told = describe_person(CUSTOMER, follow_aliases=True, now=LATER)

    assert [order["delivery"] for order in told["shop"]["orders"]] == [DELIVERY]
    assert [line["product__slug"] for basket in told["shop"]["baskets"] for line in basket["lines"]] == ["cup"]
    assert len(told["exposures"]) == len(told["orders"]) == 1


def test_export_command__writes_json_that_only_its_owner_may_read(tmp_path: Path) -> None:
    target = tmp_path / "unit.json"

    output = run("export_unit", VISITOR, "--output", str(target))

    told: dict[str, Any] = json.loads(target.read_text())
    assert output == f"written to {target}\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert (told["unit_id"], told["exposures"][0]["variant"]) == (VISITOR, "test")
    assert json.loads(run("export_unit", VISITOR))["exposures"] == told["exposures"]


def test_export_command__file_that_exists__is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "unit.json"
    target.write_text("mine")

    with pytest.raises(CommandError, match="File exists"):
        run("export_unit", VISITOR, "--output", str(target))

    assert target.read_text() == "mine"


def test_erase_command__dry_run__says_what_would_go_and_removes_nothing() -> None:
    output = run("erase_unit", VISITOR, "--dry-run")

    assert output == (
        "1: 1 exposures, 1 orders, 2 outcomes, 1 aliases, 1 baskets, 1 shop orders freed under 2 ids\n"
        "dry run, nothing removed\n"
    )
    assert Exposure.objects.exists()
    assert not ErasedUnit.objects.exists()


def test_erase_command__never_prints_the_id() -> None:
    output = run("erase_unit", VISITOR, "--yes")

    assert output.startswith("1: 1 exposures, ")
    assert VISITOR not in output
    assert run("erase_unit", VISITOR, "--yes") == "1: nothing stored; erased before\n"


def test_erase_command__ids_from_standard_input__one_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO(f"{VISITOR}\n\n{STRANGER}\r\n"))

    output = run("erase_unit", "--stdin", "--yes")

    assert [line.split(":")[0] for line in output.splitlines()] == ["1", "2"]
    assert not Basket.objects.exists()
    assert not Exposure.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name one unit id"),
        ((VISITOR, "--stdin", "--yes"), "Name one unit id"),
        ((VISITOR,), "add --yes"),
        (("x" * 256, "--yes"), "unit_id must be a text of 1 to 255"),
    ],
)
def test_erase_command__unclear_or_unconfirmed__removes_nothing(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO())

    with pytest.raises(CommandError, match=message):
        run("erase_unit", *arguments)

    assert Exposure.objects.exists()
