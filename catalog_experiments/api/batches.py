"""A batch of events from JSON to the domain and back: each item is read on its own, and answered in its place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from rest_framework.exceptions import ErrorDetail, ValidationError

from catalog_experiments.api.serializers.fields import read_instant
from catalog_experiments.api.serializers.intake import (
    MAX_BATCH,
    MAX_LINES,
    MAX_PRICE_MINOR,
    MAX_QUANTITY,
    MAX_SEGMENTS,
    MAX_UNIT_ID,
    OUTCOMES,
)
from catalog_experiments.intake import ExposureEvent, ItemResult, OfferTaken, OrderEvent, OrderLine
from catalog_experiments.models import OrderStatus

Event = TypeVar("Event")

CURRENCY = re.compile(r"[A-Z]{3}")
EXPOSURE_FIELDS = frozenset({"experiment", "unit_id", "variant_key", "exposed_at", "phase", "segments"})
LINE_FIELDS = frozenset({"slug", "quantity", "price_minor", "cost_minor"})
COMPONENT_FIELDS = frozenset({"slug", "quantity"})
OFFER_FIELDS = frozenset({"experiment", "variant", "bundle", "document_version", "valid_until", "components"})
ORDER_FIELDS = frozenset(
    {
        "order_ref",
        "placed_at",
        "currency",
        "lines",
        "unit_id",
        "status",
        "accepted_bundles",
        "offers",
        "source",
        "cancelled_at",
        "refunded_minor",
    }
)


class InvalidItem(ValueError):
    """One item of a batch can't be read; the message starts with the field."""

    def __init__(self, code: str, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {remedy}")
        self.code = code


@dataclass(frozen=True)
class Batch(Generic[Event]):
    """The readable events with their places in the body, and the results of those that can't be read."""

    events: tuple[Event, ...]
    places: tuple[int, ...]
    refused: tuple[ItemResult, ...]

    def answer(self, results: Iterable[ItemResult]) -> dict[str, Any]:
        """Return the body of the answer: `results` are the domain's, one per event and in its order."""
        placed = [
            ItemResult(place, result.outcome, result.code, result.detail)
            for place, result in zip(self.places, results, strict=True)
        ]
        ordered = sorted([*placed, *self.refused], key=lambda result: result.index)
        counts = Counter(result.outcome for result in ordered)
        return {
            "results": [
                {"index": one.index, "outcome": one.outcome, "code": one.code, "detail": one.detail} for one in ordered
            ],
            "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
        }


def read_batch(body: object, name: str, read: Callable[[object], Event]) -> Batch[Event]:
    """Read the list `name` of the body, item by item.

    Raises:
        ValidationError: no such list, something beside it, or more than 1,000 items.
    """
    items = _items(body, name)
    events, places, refused = [], [], []
    for index, item in enumerate(items):
        try:
            events.append(read(item))
            places.append(index)
        except InvalidItem as invalid:
            refused.append(ItemResult(index, "rejected", invalid.code, str(invalid)))
    return Batch(tuple(events), tuple(places), tuple(refused))


def _items(body: object, name: str) -> list[object]:
    if not isinstance(body, Mapping):
        raise ValidationError({"body": [ErrorDetail(f'Send an object like {{"{name}": [...]}}.', "invalid")]})
    if unknown := sorted(set(body) - {name}):
        remedy = f"There is no such field; the body holds {name} only."
        raise ValidationError({field[:100]: [ErrorDetail(remedy, "unknown_field")] for field in unknown[:20]})
    items = body.get(name)
    if not isinstance(items, list):
        raise ValidationError({name: [ErrorDetail("Send a list.", "required" if items is None else "not_a_list")]})
    if len(items) > MAX_BATCH:
        raise ValidationError({name: [ErrorDetail(f"Send at most {MAX_BATCH:,} at once.", "too_many")]})
    return items


def read_exposure(item: object) -> ExposureEvent:
    """Read one exposure.

    Raises:
        InvalidItem: naming the field and what it must be.
    """
    fields = _object(item, "the item", EXPOSURE_FIELDS)
    return ExposureEvent(
        experiment=_text(fields, "experiment", 150),
        unit_id=_text(fields, "unit_id", MAX_UNIT_ID),
        variant_key=_text(fields, "variant_key", 100),
        exposed_at=_instant_or_none(fields, "exposed_at"),
        phase=_number(fields, "phase", 1, 32_767) if fields.get("phase") is not None else None,
        segments=_segments(fields),
    )


def read_order(item: object) -> OrderEvent:
    """Read one order.

    Raises:
        InvalidItem: naming the field and what it must be.
    """
    fields = _object(item, "the item", ORDER_FIELDS)
    status, cancelled_at = _status(fields), _instant_or_none(fields, "cancelled_at")
    if (status == OrderStatus.CANCELLED) != (cancelled_at is not None):
        raise InvalidItem("contradiction", "cancelled_at", "goes with the status cancelled, and only with it.")
    return OrderEvent(
        order_ref=_text(fields, "order_ref", 150),
        placed_at=_instant(fields, "placed_at"),
        currency=_currency(fields),
        lines=tuple(_line(line) for line in _list(fields, "lines", 1, MAX_LINES)),
        unit_id=_text(fields, "unit_id", MAX_UNIT_ID) if fields.get("unit_id") is not None else None,
        status=status,
        accepted_bundles=_bundles(fields),
        offers=tuple(_offer(offer) for offer in _list(fields, "offers", 0, 100)),
        source=_text(fields, "source", 32) if "source" in fields else "checkout",
        cancelled_at=cancelled_at,
        refunded_minor=_number(fields, "refunded_minor", 0, 2**62) if "refunded_minor" in fields else 0,
    )


def _line(item: object) -> OrderLine:
    fields = _object(item, "lines", LINE_FIELDS)
    return OrderLine(
        slug=_text(fields, "slug", 150),
        quantity=_number(fields, "quantity", 1, MAX_QUANTITY),
        price_minor=_number(fields, "price_minor", 0, MAX_PRICE_MINOR),
        cost_minor=_number(fields, "cost_minor", 0, MAX_PRICE_MINOR) if fields.get("cost_minor") is not None else None,
    )


def _offer(item: object) -> OfferTaken:
    fields = _object(item, "offers", OFFER_FIELDS)
    return OfferTaken(
        experiment=_text(fields, "experiment", 150),
        variant=_text(fields, "variant", 100),
        bundle=_text(fields, "bundle", 150),
        document_version=_number(fields, "document_version", 0, 2**53),
        valid_until=_instant_or_none(fields, "valid_until"),
        components=tuple(_component(component) for component in _list(fields, "components", 0, 100)),
    )


def _component(item: object) -> dict[str, Any]:
    fields = _object(item, "components", COMPONENT_FIELDS)
    quantity = _number(fields, "quantity", 1, MAX_QUANTITY) if "quantity" in fields else 1
    return {"slug": _text(fields, "slug", 150), "quantity": quantity}


def _object(item: object, name: str, known: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise InvalidItem("invalid", name, "must be an object.")
    if not item.keys() <= known:
        unknown = sorted(item.keys() - known)[0]
        raise InvalidItem("unknown_field", unknown[:100], f"is no field of it; known: {', '.join(sorted(known))}.")
    return item


def _text(fields: Mapping[str, Any], name: str, longest: int) -> str:
    value = fields.get(name)
    if value is None:
        raise InvalidItem("required", name, "is missing.")
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise InvalidItem("invalid", name, f"must be text of 1 to {longest} characters.")
    return value


def _number(fields: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = fields.get(name)
    if value is None:
        raise InvalidItem("required", name, "is missing.")
    if type(value) is not int or not least <= value <= most:
        raise InvalidItem("invalid", name, f"must be a whole number from {least:,} to {most:,}, without quotes.")
    return value


def _instant(fields: Mapping[str, Any], name: str) -> datetime:
    moment = _instant_or_none(fields, name)
    if moment is None:
        raise InvalidItem("required", name, "is missing.")
    return moment


def _instant_or_none(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = fields.get(name)
    if value is None:
        return None
    moment = read_instant(value)
    if moment is None:
        raise InvalidItem("invalid", name, "must be a time in ISO 8601 with its offset, like 2026-03-02T12:00:00Z.")
    return moment


def _list(fields: Mapping[str, Any], name: str, fewest: int, most: int) -> list[object]:
    value = fields.get(name, [])
    if not isinstance(value, list) or not fewest <= len(value) <= most:
        raise InvalidItem("invalid", name, f"must be a list of {fewest} to {most}.")
    return value


def _segments(fields: Mapping[str, Any]) -> dict[str, str] | None:
    value = fields.get("segments")
    if value is None:
        return None
    is_valid = isinstance(value, dict) and len(value) <= MAX_SEGMENTS
    if not is_valid or not all(isinstance(text, str) and len(text) <= 100 for text in (*value, *value.values())):
        raise InvalidItem("invalid", "segments", f"must be up to {MAX_SEGMENTS} texts by name, of up to 100 characters.")
    return dict(value)


def _status(fields: Mapping[str, Any]) -> str:
    value = fields.get("status", OrderStatus.PAID.value)
    if not isinstance(value, str) or value not in OrderStatus.values:
        raise InvalidItem("invalid", "status", f"must be one of {', '.join(OrderStatus.values)}.")
    return value


def _currency(fields: Mapping[str, Any]) -> str:
    value = fields.get("currency")
    if value is None:
        raise InvalidItem("required", "currency", "is missing.")
    if not isinstance(value, str) or not CURRENCY.fullmatch(value):
        raise InvalidItem("invalid", "currency", "must be three capital letters (ISO 4217).")
    return value


def _bundles(fields: Mapping[str, Any]) -> tuple[str, ...] | None:
    if fields.get("accepted_bundles") is None:
        return None
    named = _list(fields, "accepted_bundles", 0, 100)
    if not all(isinstance(slug, str) and 0 < len(slug) <= 150 for slug in named):
        raise InvalidItem("invalid", "accepted_bundles", "must be a list of bundle slugs.")
    return tuple(str(slug) for slug in named)
