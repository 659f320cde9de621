"""Strict readings of single values: texts that can be stored, times that make sense, amounts that fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import orjson

from catalog_experiments.intake.events import Refused

FUTURE_TOLERANCE = timedelta(minutes=5)
"""How far a caller's clock may run ahead: such times are clamped to now, later ones refused."""

LATEST = timedelta(days=30)
"""How late an event may be reported."""

LARGEST_AMOUNT = 10**12
"""Minor units of money, and pieces, that a single value may reach."""

LONGEST_TEXT = 150
MOST_SEGMENTS = 20
LONGEST_SEGMENT = 100


@dataclass(slots=True)  # nobody changes one; not frozen, as `ItemResult`
class Arrival:
    """A time as it is stored; `is_clamped` when the caller's lay ahead of now, `is_late` past the limit."""

    at: datetime
    is_clamped: bool = False
    is_late: bool = False


def read_time(value: object, *, now: datetime, name: str) -> Arrival:
    """Return when something happened.

    Raises:
        Refused: no aware time, or more than five minutes ahead.
    """
    # Mostly UTC, which has an offset for sure.
    if not isinstance(value, datetime) or (value.tzinfo is not UTC and value.utcoffset() is None):
        raise Refused(f"{name}_invalid", f"{name} must be a time with its zone.")
    if value <= now:
        return Arrival(value, is_late=value < now - LATEST)
    if value > now + FUTURE_TOLERANCE:
        raise Refused("future", f"{name} lies more than 5 minutes ahead of our clock; check the sender's clock.")
    return Arrival(now, is_clamped=True)


def refuse_late(name: str) -> Refused:
    """Return the refusal of an event older than can be taken in."""
    return Refused("too_late", f"{name} lies more than {LATEST.days} days back; import old data with its command.")


def read_text(value: object, name: str, longest: int = LONGEST_TEXT, *, least: int = 1) -> str:
    """Return a text of `least` to `longest` characters that a database can hold.

    Raises:
        Refused: anything else, NUL and lone surrogates included.
    """
    if not isinstance(value, str) or not least <= len(value) <= longest:
        raise Refused(f"{name}_invalid", f"{name} must be a text of {least} to {longest} characters.")
    if not value.isprintable() and not _is_storable(value):
        raise Refused(f"{name}_invalid", f"{name} holds a character that cannot be stored.")
    return value


def read_whole(value: object, name: str, *, least: int = 0) -> int:
    """Return a whole number from `least` to 10^12.

    Raises:
        Refused: anything else; True and False are no numbers.
    """
    if type(value) is not int or not least <= value <= LARGEST_AMOUNT:
        raise Refused(f"{name}_invalid", f"{name} must be a whole number of at least {least}.")
    return value


def read_segments(value: object) -> bytes | None:
    """Return the segments of a unit as JSON, None when there are none.

    The bytes are those of PostgreSQL's own text of a jsonb, so that both tell the lesser of two alike.

    Raises:
        Refused: too many, or not short texts.
    """
    if not value:
        return None
    if not isinstance(value, Mapping) or len(value) > MOST_SEGMENTS:
        raise Refused("segments_invalid", f"segments must be at most {MOST_SEGMENTS} named texts.")
    pairs = tuple(value.items())
    try:
        return _document(pairs)  # many units share a few descriptions
    except TypeError:
        return _document.__wrapped__(pairs)  # what cannot be looked up is no text, and is refused


@lru_cache(maxsize=4_096)
def _document(pairs: tuple[tuple[object, object], ...]) -> bytes:
    read = (
        (read_text(key, "segments", LONGEST_SEGMENT), read_text(text, "segments", LONGEST_SEGMENT, least=0))
        for key, text in pairs
    )
    known = sorted((len(key.encode()), key.encode(), orjson.dumps(key), orjson.dumps(text)) for key, text in read)
    return b"{" + b", ".join(key + b": " + text for _, _, key, text in known) + b"}"


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
