"""Long chunks of orders are copied, short ones inserted: both end in the same rows, and nobody tells them apart."""

import dataclasses
import datetime as dt
from collections import Counter
from typing import Any

import pytest
from django.utils import timezone

from catalog_experiments.intake import OrderEvent, OrderLine, order_rows, orders, record_orders
from catalog_experiments.models import ErasedUnit, Order, OrderOutcome
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_bundle

pytestmark = pytest.mark.django_db

NOW = NOON + 2 * dt.timedelta(hours=1)
LONG = order_rows.COPIED_FROM + 20
CUP, SAUCER = OrderLine("cup", 1, 2000, 900), OrderLine("saucer", 1, 1000)


@pytest.fixture
def many() -> list[OrderEvent]:
    """Return so many orders that they are copied; every third takes the bundle, every fourth has no unit."""
    make_bundle()
    return [
        OrderEvent(
            f"A-{number:03}",
            NOON + number * dt.timedelta(seconds=1),
            "EUR",
            (CUP, SAUCER) if number % 3 == 0 else (CUP,),
            unit_id=f"u{number}" if number % 4 else None,
            status="cancelled" if number % 50 == 0 else "paid",
            traffic="bot" if number % 30 == 0 else None,
            accepted_bundles=("cup-saucer",) if number % 7 == 0 else None,
        )
        for number in range(LONG)
    ]


def outcomes(events: list[OrderEvent]) -> Counter[str]:
    return Counter(result.outcome for result in record_orders(events, now=NOW))


def rows() -> list[tuple[Any, ...]]:
    left_out = ("id", "recorded_at", "revised_at")
    fields = [field.name for field in Order._meta.concrete_fields if field.name not in left_out]
    said = ("outcomes__bundle__bundle_slug", "outcomes__accepted")
    return list(Order.objects.order_by("order_ref").values_list(*fields, *said))


def test_orders__copied_and_inserted__end_in_equal_rows(many: list[OrderEvent]) -> None:
    record_orders(many, now=NOW)
    copied = rows()
    OrderOutcome.objects.all().delete()
    Order.objects.all().delete()

    for start in range(0, LONG, 100):
        record_orders(many[start : start + 100], now=NOW)

    assert len(copied) == LONG
    assert rows() == copied


def test_orders__copied__are_stamped_by_the_clock_of_the_database(many: list[OrderEvent]) -> None:
    record_orders(many, now=NOW)

    stamps = set(Order.objects.values_list("recorded_at", "revised_at"))
    assert all(abs(stamp - timezone.now()) < dt.timedelta(minutes=1) for pair in stamps for stamp in pair)


def test_orders__one_of_many_known__is_told_apart_and_the_others_are_stored(many: list[OrderEvent]) -> None:
    other = dataclasses.replace(many[7], currency="USD")
    record_orders([many[7], many[8]], now=NOW)

    told = outcomes([*many[:7], other, *many[8:]])

    assert told == {"accepted": LONG - 2, "conflict": 1, "duplicate": 1}
    assert Order.objects.count() == LONG == OrderOutcome.objects.count()
    assert Order.objects.get(order_ref=many[7].order_ref).currency == "EUR"


def test_orders__many_sent_again__are_all_duplicates(many: list[OrderEvent]) -> None:
    record_orders(many, now=NOW)
    first = rows()

    told = outcomes(many)

    assert told == {"duplicate": LONG}
    assert rows() == first


def test_orders__chunks_after_a_known_one__are_inserted(
    many: list[OrderEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "CHUNK", 100)
    monkeypatch.setattr(order_rows, "COPIED_FROM", 100)
    record_orders(many[100:101], now=NOW)

    told = outcomes(many)

    assert told == {"accepted": LONG - 1, "duplicate": 1}
    assert Order.objects.count() == LONG == OrderOutcome.objects.count()


def test_orders__of_an_erased_unit_among_many__are_refused_alone(many: list[OrderEvent]) -> None:
    ErasedUnit.objects.create(digest=digest_unit("u5"), erased_at=NOON)

    results = record_orders(many, now=NOW)

    assert [result.index for result in results if result.code == "erased"] == [5]
    assert Order.objects.count() == LONG - 1
