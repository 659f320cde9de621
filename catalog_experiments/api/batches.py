"""A batch of events from JSON to the domain and back: each item is read on its own, and answered in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from operator import itemgetter
from typing import Any, Generic, TypeVar

from rest_framework.exceptions import ErrorDetail, ValidationError

from catalog_experiments.api.serializers.fields import read_instant
from catalog_experiments.api.serializers.intake import MAX_BATCH, OUTCOMES
from catalog_experiments.intake import (
    AliasEvent,
    ExposureEvent,
    ItemResult,
    OfferTaken,
    OrderEvent,
    OrderLine,
    Refused,
    reader_of,
)

Event = TypeVar("Event")


@dataclass(frozen=True)
class Shape:
    """The names one JSON object may and must hold; what they hold is judged by the domain."""

    name: str
    known: frozenset[str]
    required: frozenset[str]

    @classmethod
    def of(cls, event: type[Any], name: str) -> Shape:
        """Return the shape of a dataclass: a field without default is required."""
        own = fields(event)
        required = {each.name for each in own if each.default is MISSING and each.default_factory is MISSING}
        return cls(name, frozenset(each.name for each in own), frozenset(required))

    def read(self, item: object) -> dict[str, Any]:
        """Return a copy of the object.

        Raises:
            InvalidItem: no object, an unknown name, or a required one missing.
        """
        if not isinstance(item, dict):
            raise InvalidItem("invalid", self.name, "must be an object.")
        if not item.keys() <= self.known:
            unknown = sorted(item.keys() - self.known)[0]
            raise InvalidItem(
                "unknown_field", unknown[:100], f"is no field here; known: {', '.join(sorted(self.known))}."
            )
        if not item.keys() >= self.required:
            raise InvalidItem("required", sorted(self.required - item.keys())[0], "is missing.")
        return dict(item)


_exposure = Shape.of(ExposureEvent, "the item")
EXPOSURE = Shape("the item", _exposure.known - {"customer_id", "variant_position"}, _exposure.required)
ALIAS = Shape.of(AliasEvent, "the item")
ORDER = Shape.of(OrderEvent, "the item")
LINE = Shape.of(OrderLine, "each of lines")
_taken = Shape.of(OfferTaken, "each of offers")
OFFER = Shape("each of offers", _taken.known, _taken.required - {"valid_until"})
COMPONENT = Shape("each of components", frozenset({"slug", "quantity"}), frozenset({"slug"}))


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
        told = [_told(place, result) for place, result in zip(self.places, results, strict=True)]
        if self.refused:
            told += [_told(refused.index, refused) for refused in self.refused]
            told.sort(key=itemgetter("index"))
        counts = Counter[str](one["outcome"] for one in told)
        return {"results": told, "counts": {outcome: counts[outcome] for outcome in OUTCOMES}}


def _told(index: int, result: ItemResult) -> dict[str, Any]:
    return {"index": index, "outcome": result.outcome, "code": result.code, "detail": result.detail}


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
        except Refused as foreign:
            refused.append(foreign.result(index))
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


def exposure_list(body: object) -> object:
    """Return the body as a list of exposures: another tool's single event, or its batch, is put into our form."""
    if reader_of(body):
        return {"exposures": [body]}
    if isinstance(body, dict) and isinstance(body.get("batch"), list) and "exposures" not in body:
        return {"exposures": body["batch"]}
    return body


def read_exposure(item: object) -> ExposureEvent:
    """Read one exposure, in our form or in another tool's.

    Raises:
        InvalidItem: naming the field and what it must be.
        Refused: another tool's event that is none, or cannot be read.
    """
    if isinstance(item, dict) and (read := reader_of(item)):
        return read(item)
    values = EXPOSURE.read(item)
    _read_times(values, "exposed_at")
    phase = values.get("phase")
    if phase is not None and type(phase) is not int:
        raise InvalidItem("invalid", "phase", "must be the number of a phase, without quotes.")
    if not isinstance(values.get("is_holdout", False), bool):
        raise InvalidItem("invalid", "is_holdout", "must be true or false.")
    return ExposureEvent(**values)


def read_alias(item: object) -> AliasEvent:
    """Read one alias.

    Raises:
        InvalidItem: naming the field and what it must be.
    """
    return AliasEvent(**ALIAS.read(item))


def read_order(item: object) -> OrderEvent:
    """Read one order.

    Raises:
        InvalidItem: naming the field and what it must be.
    """
    values = ORDER.read(item)
    _read_times(values, "placed_at", "cancelled_at")
    values["lines"] = tuple(OrderLine(**LINE.read(line)) for line in _list(values, "lines"))
    if values.get("accepted_bundles") is not None:
        values["accepted_bundles"] = tuple(_list(values, "accepted_bundles"))
    if "offers" in values:
        values["offers"] = tuple(_offer(offer) for offer in _list(values, "offers"))
    return OrderEvent(**values)


def _offer(item: object) -> OfferTaken:
    values = {"valid_until": None, **OFFER.read(item)}
    _read_times(values, "valid_until")
    if "components" in values:
        values["components"] = tuple(COMPONENT.read(component) for component in _list(values, "components"))
    return OfferTaken(**values)


def _read_times(values: dict[str, Any], *names: str) -> None:
    for name in names:
        if values.get(name) is None:
            continue
        values[name] = read_instant(values[name])
        if values[name] is None:
            raise InvalidItem("invalid", name, "must be a time in ISO 8601 with its offset, like 2026-03-02T12:00:00Z.")


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    value = values[name]
    if not isinstance(value, list):
        raise InvalidItem("invalid", name, "must be a list.")
    return value
