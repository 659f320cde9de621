"""Exposures in the words of other tools: Segment's "Experiment Viewed" and GrowthBook's tracking pair, read as ours.

A sender's own id of an event (`messageId`) is not kept: a unit has one row per phase, so a repeated event is a
duplicate by that row's key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from catalog_experiments.intake.events import ExposureEvent, Refused
from catalog_experiments.targeting.coercion import to_text

EXPERIMENT_VIEWED = "Experiment Viewed"
_LARGEST_PHASE = 32_767


def reader_of(item: object) -> Callable[[Mapping[str, Any]], ExposureEvent] | None:
    """Return what reads an event of this shape; None for one that is not another tool's.

    >>> reader_of({"type": "track", "event": "Experiment Viewed"}) is read_segment, reader_of({"unit_id": "a"})
    (True, None)
    """
    if not isinstance(item, dict):
        return None
    if "event" in item or isinstance(item.get("properties"), dict) or item.get("type") in ("track", "identify"):
        return read_segment
    if isinstance(item.get("experiment"), dict) and isinstance(item.get("result"), dict):
        return read_growthbook
    return None


def read_segment(item: Mapping[str, Any]) -> ExposureEvent:
    """Read a Segment event: the visitor is `anonymousId`, the customer `userId`, and the experiment's kind decides.

    Raises:
        Refused: another event, or experiment, variation and ids that are no texts.
    """
    if item.get("event") != EXPERIMENT_VIEWED:
        raise Refused("not_an_exposure", f'Only the event "{EXPERIMENT_VIEWED}" is an exposure; this one is ignored.')
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        raise Refused("properties_invalid", "properties must be an object with experiment_id and variation_id.")
    variation = _first(properties, "variation_id", "variationId", "variation_name", "variationName")
    visitor, customer = _text(item, "anonymousId"), _text(item, "userId")
    return ExposureEvent(
        experiment=_required(properties, "experiment_id", "experimentId", "experiment_name", "experimentName"),
        unit_id=visitor or customer,
        variant_key=variation if isinstance(variation, str) else "",
        exposed_at=_moment(item, "timestamp", "originalTimestamp", "sentAt"),
        customer_id=customer or None,
        variant_position=_position(variation),
        user_agent=_user_agent(item.get("context")),
    )


def read_growthbook(item: Mapping[str, Any]) -> ExposureEvent:
    """Read the pair that a GrowthBook SDK hands to its tracking callback, as `experiment` and `result`.

    Raises:
        Refused: the visitor was not enrolled or hashed by another attribute than `id`, or a field is no text.
    """
    experiment, result = item["experiment"], item["result"]
    if result.get("inExperiment") is False:
        raise Refused("not_enrolled", "result.inExperiment is false: the visitor met no variant.")
    if result.get("hashAttribute") not in (None, "", "id"):
        raise Refused("hash_attribute", 'The visitor was hashed by another attribute than "id".')
    key = result.get("key")
    return ExposureEvent(
        experiment=_required(experiment, "key"),
        unit_id=_required(result, "hashValue"),
        variant_key=key if isinstance(key, str) else "",
        exposed_at=_moment(item, "timestamp", "exposed_at"),
        phase=_phase(experiment.get("phase")),
        variant_position=_position(result.get("variationId")),
    )


def _user_agent(context: object) -> str | None:
    found = context.get("userAgent") if isinstance(context, Mapping) else None
    return found[:1_000] if isinstance(found, str) else None


def _first(values: Mapping[str, Any], *names: str) -> object:
    return next((values[name] for name in names if values.get(name) not in (None, "")), None)


def _required(values: Mapping[str, Any], *names: str) -> str:
    found = _as_text(_first(values, *names))
    if not found:
        raise Refused(f"{names[0]}_invalid", f"{names[0]} must be a text.")
    return found


def _text(values: Mapping[str, Any], name: str) -> str:
    return _as_text(values.get(name))


def _as_text(value: object) -> str:
    # Ids may come as numbers: they hash as JavaScript writes them.
    if isinstance(value, int | float) and not isinstance(value, bool):
        return to_text(value)
    return value if isinstance(value, str) else ""


def _position(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _phase(value: object) -> int | None:
    text = _as_text(value)
    is_number = text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= _LARGEST_PHASE
    return int(text) if is_number and len(text) < 6 else None


def _moment(values: Mapping[str, Any], *names: str) -> datetime | None:
    value = _first(values, *names)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and value.isascii() else None
        if moment is not None and moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Refused("timestamp_invalid", "The event's time must be ISO 8601 with its offset, like 2026-03-02T12:00:00Z.")
