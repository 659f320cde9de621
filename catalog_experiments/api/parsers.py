"""JSON in, strictly: what is ambiguous, oversized or impossible to store is refused before anything looks at it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

MAX_DEPTH = 32
MAX_INTEGER_DIGITS = 19
INTEGER_RANGE = range(-(2**63), 2**63)
ESCAPED_TROUBLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # NUL, or half of a surrogate pair

NUL = rb"\u0000"
BLANKS = (b" ", b"\t", b"\n", b"\r")


@dataclass(frozen=True)
class Limits:
    """How much one body may hold: `size` in bytes, `keys` over all of its objects together."""

    size: int
    keys: int


class MalformedBody(ParseError):
    """The body is not the JSON we take; the code says which rule it breaks."""


class BodyTooLarge(APIException):
    """The body is longer than the endpoint takes."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is longer than {limit:,} bytes; send less, or send it in parts.")


class LengthRequired(APIException):
    """The body comes without its length, so that the server would hand on an empty one."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Send the body with a Content-Length, not in chunks."


def check_envelope(request: Request) -> None:
    """Refuse bodies that would reach nobody, or not as they are.

    Raises:
        LengthRequired: chunks instead of a length.
        UnsupportedMediaType: a compressed body.
    """
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequired
    encoding = str(request.META.get("HTTP_CONTENT_ENCODING", "identity"))
    if encoding.strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType(encoding[:40], f"Send the body as it is, not in the encoding {encoding[:40]}.")


class StrictJSONParser(BaseParser):
    """Read `application/json` in UTF-8 within limits; anything doubtful is an error, nothing is guessed."""

    media_type = "application/json"
    limits = Limits(size=256_000, keys=2_000)

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Return the body as plain Python values.

        Raises:
            BodyTooLarge: more bytes than `limits.size`, as declared or as sent.
            UnsupportedMediaType: a charset other than UTF-8.
            MalformedBody: everything that `read_json` refuses.
        """
        _require_utf8(media_type or "")
        declared = (parser_context or {}).get("request")
        length = str(declared.META.get("CONTENT_LENGTH") or 0) if declared is not None else "0"
        if int(length) > self.limits.size:
            raise BodyTooLarge(self.limits.size)
        raw = stream.read(self.limits.size + 1)
        if len(raw) > self.limits.size:
            raise BodyTooLarge(self.limits.size)
        return read_json(raw, self.limits)


class IntakeJSONParser(StrictJSONParser):
    """The same with room for a batch of 1,000 events."""

    limits = Limits(size=1_000_000, keys=60_000)


def read_json(raw: bytes, limits: Limits) -> object:
    """Read one JSON text.

    Raises:
        MalformedBody: not UTF-8, not JSON, a key twice in one object, deeper than 32, more keys than allowed, NaN or
            Infinity, a number outside the 64-bit range, or text that holds NUL or half a surrogate pair.

    What is beyond doubt is read the fast way; in doubt the strict way decides, and says what is wrong.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _read_strictly(raw, limits)  # which knows what is wrong with it
    return value if _is_beyond_doubt(raw, value, limits) else _read_strictly(raw, limits)


def _is_beyond_doubt(raw: bytes, value: object, limits: Limits) -> bool:
    # Each key ends in `":`. Where that stands as often as keys were read, no text holds it and no key came twice.
    if NUL in raw or any(blank in raw and blank + b":" in raw for blank in BLANKS):
        return False
    keys = _count_keys(value)
    return keys is not None and keys <= limits.keys and keys == raw.count(b'":')


def _count_keys(value: object) -> int | None:
    """Return how many keys the objects hold, None for what needs the strict way: depth, fractions, huge numbers."""
    level: list[object] = [value]
    keys = 0
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for part in level:
            if isinstance(part, dict):
                keys += len(part)
                below += part.values()
            elif isinstance(part, list):
                below += part
            elif isinstance(part, float) or (isinstance(part, int) and part not in INTEGER_RANGE):
                return None
        if not below:
            return keys
        level = below
    return None


def _read_strictly(raw: bytes, limits: Limits) -> object:
    text = _decode(raw)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_KeyCounter(limits.keys),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except json.JSONDecodeError as error:
        message = f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise MalformedBody(message, code="malformed_json") from None
    except RecursionError:
        _refuse_depth()
    _check_depth(value)
    if ESCAPED_TROUBLE.search(text):
        _check_text(value)
    return value


def _require_utf8(media_type: str) -> None:
    charset = re.search(r';\s*charset\s*=\s*"?([^";\s]+)', media_type, re.IGNORECASE)
    if charset and charset.group(1).lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(media_type[:100], f"Send JSON in UTF-8, not in {charset.group(1)[:40]}.")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: byte {error.start} can't be read."
        raise MalformedBody(message, code="not_utf8") from None


class _KeyCounter:
    """Build each object, refusing a repeated key and counting the keys of the whole body."""

    def __init__(self, allowed: int) -> None:
        self.left = self.allowed = allowed

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.left -= len(pairs)
        if self.left < 0:
            raise MalformedBody(f"The body holds more than {self.allowed:,} keys.", code="too_many_keys")
        built = dict(pairs)
        if len(built) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            raise MalformedBody(
                f"The key {_shown(max(counts, key=counts.__getitem__))} stands twice in one object.",
                code="duplicate_key",
            )
        return built


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedBody(f"{name} is not a JSON number.", code="not_a_number")


def _finite(text: str) -> float:
    number = float(text)
    # The database keeps a whole number as digits: past 64 bits it would come back as one that JSON readers can't hold.
    if not math.isfinite(number) or abs(number) >= 2.0**63:
        _refuse_number(text)
    return number


def _bounded(text: str) -> int:
    if len(text.lstrip("-")) > MAX_INTEGER_DIGITS or int(text) not in INTEGER_RANGE:
        _refuse_number(text)
    return int(text)


def _refuse_number(text: str) -> NoReturn:
    shown = text if len(text) <= 30 else f"{text[:20]}… ({len(text):,} characters)"
    raise MalformedBody(f"The number {shown} is out of range.", code="number_out_of_range")


def _refuse_depth() -> NoReturn:
    raise MalformedBody(f"The body is nested deeper than {MAX_DEPTH} levels.", code="too_deep")


def _check_depth(value: object) -> None:
    level, depth = [value], 0
    while level := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            _refuse_depth()
        level = [child for parent in level for child in _children(parent)]


def _children(parent: dict[str, Any] | list[Any]) -> list[Any]:
    return list(parent.values()) if isinstance(parent, dict) else parent


def _check_text(value: object) -> None:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            _check_string(part)
        elif isinstance(part, dict):
            waiting += [*part, *part.values()]
        elif isinstance(part, list):
            waiting += part


def _check_string(text: str) -> None:
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise MalformedBody("Text may not hold NUL or half of a surrogate pair.", code="invalid_text")


def _shown(name: str) -> str:
    return json.dumps(name[:40])
