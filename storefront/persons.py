"""One person, wherever they left something: in the experiments' telemetry and in the shop's own tables.

The shop keeps its ledger, what was sold and for how much, but forgets to whom.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.db.models import Q

from catalog_experiments import privacy
from catalog_experiments.units import digests_of_unit
from storefront.models import Basket, ShopOrder


@dataclass(frozen=True, slots=True)
class PersonErasure:
    """What was, or would be, removed: telemetry as its own part says, baskets, and orders freed of the person."""

    telemetry: privacy.Erasure
    baskets: int
    orders: int


def describe_person(unit_id: str, *, follow_aliases: bool, now: dt.datetime) -> Mapping[str, Any]:
    """Return everything stored of a person, as plain JSON values; see `privacy.disclose`.

    Raises:
        Refused: no text that could be a unit id.
    """
    person = privacy.find_person(unit_id, follow_aliases=follow_aliases)
    visitors = _visitor_ids(person)
    shop = {"baskets": _baskets(visitors), "orders": _orders(visitors)}
    plain = orjson.loads(orjson.dumps(shop, option=orjson.OPT_UTC_Z))
    return {**privacy.disclose(person, now=now), "shop": plain}


def preview_erasure(unit_id: str, *, follow_aliases: bool) -> PersonErasure:
    """Return what `erase_person` would remove now. Writes nothing.

    Raises:
        Refused: no text that could be a unit id.
    """
    person = privacy.find_person(unit_id, follow_aliases=follow_aliases)
    visitors = _visitor_ids(person)
    baskets, orders = Basket.objects.filter(visitor_id__in=visitors), ShopOrder.objects.filter(_placed_by(visitors))
    return PersonErasure(privacy.preview(person), baskets.count(), orders.count())


def erase_person(unit_id: str, *, follow_aliases: bool, actor: str, now: dt.datetime) -> PersonErasure:
    """Forget a person everywhere, in one transaction; see `privacy.erase_unit`. Safe to repeat.

    Raises:
        Refused: no text that could be a unit id.
        OperationalError: reports kept the tombstones busy all the time; nothing was changed.
    """
    person = privacy.find_person(unit_id, follow_aliases=follow_aliases)
    visitors = _visitor_ids(person)
    removed = {"baskets": 0, "orders": 0}
    erasure = privacy.erase_unit(
        person, actor=actor, now=now, also=lambda: removed.update(_forget_in_shop(visitors, now))
    )
    return PersonErasure(erasure, **removed)


def _visitor_ids(person: privacy.Person) -> set[str]:
    """Return the ids the shop knows the person by; of joined ones only digests are known, so each id is tried."""
    if not person.joined:
        return {person.unit_id}
    known = Basket.objects.values_list("visitor_id").union(
        ShopOrder.objects.values_list("visitor_id"), ShopOrder.objects.values_list("unit_id")
    )
    joined = set(person.joined)
    return {person.unit_id} | {visitor for (visitor,) in known if visitor and joined & {*digests_of_unit(visitor)}}


def _forget_in_shop(visitors: set[str], now: dt.datetime) -> dict[str, int]:
    baskets = Basket.objects.filter(visitor_id__in=visitors)
    count = baskets.count()
    baskets.delete()
    orders = list(ShopOrder.objects.select_for_update().filter(_placed_by(visitors)).order_by("pk"))
    for order in orders:
        order.visitor_id = order.unit_id = ""
        order.delivery = {}
        order.offers = [{key: value for key, value in offer.items() if key != "unit"} for offer in order.offers]
        order.reported_at = order.reported_at or now  # nobody is told of it any more
    ShopOrder.objects.bulk_update(orders, ["visitor_id", "unit_id", "delivery", "offers", "reported_at"])
    return {"baskets": count, "orders": len(orders)}


def _placed_by(visitors: set[str]) -> Q:
    return Q(visitor_id__in=visitors) | Q(unit_id__in=visitors)


def _baskets(visitors: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "visitor_id": basket.visitor_id,
            "updated_at": basket.updated_at,
            "lines": list(
                basket.lines.values("product__slug", "quantity", "unit_price_minor", "offer", "added_at").order_by("id")
            ),
        }
        for basket in Basket.objects.filter(visitor_id__in=visitors).order_by("visitor_id")
    ]


def _orders(visitors: set[str]) -> list[dict[str, Any]]:
    fields = ("reference", "visitor_id", "placed_at", "currency", "total_minor", "lines", "offers", "delivery")
    return list(ShopOrder.objects.filter(_placed_by(visitors)).order_by("placed_at").values(*fields))
