"""Are these JSON values fit to be stored and put on a product page? Pure.

PostgreSQL refuses NUL and lone surrogates, browsers run what an address says: both are refused at the door.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from catalog_experiments.field_errors import FieldError

LARGEST_PAYLOAD_BYTES = 16_384
DEEPEST_PAYLOAD = 8
_ADDRESS_ENDINGS = ("url", "href", "src", "link")
_SAFE_ADDRESSES = ("https://", "http://", "/")


def is_storable_text(text: str) -> bool:
    r"""Say whether PostgreSQL can store the text: no NUL, no half of a surrogate pair.

    >>> is_storable_text("Tee für zwei"), is_storable_text("a\x00b"), is_storable_text("\ud800")
    (True, False, False)
    """
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def payload_errors(path: str, payload: object) -> Iterator[FieldError]:
    """Yield what is wrong with an override payload; nothing when a product page may apply it.

    >>> [error.code for error in payload_errors("payload", {"headline": "Save 10 %", "image_url": "javascript:x"})]
    ['address']
    """
    if not isinstance(payload, Mapping):
        yield FieldError(path, "type", "The override payload must be a JSON object, {} for none.")
        return
    yield from _value_errors(path, payload, depth=0)
    if _size(payload) > LARGEST_PAYLOAD_BYTES:
        yield FieldError(path, "size", f"The payload is larger than {LARGEST_PAYLOAD_BYTES} bytes; shorten it.")


def _value_errors(path: str, value: object, depth: int) -> Iterator[FieldError]:
    if depth > DEEPEST_PAYLOAD:
        yield FieldError(path, "depth", f"The payload is nested deeper than {DEEPEST_PAYLOAD} levels; flatten it.")
    elif isinstance(value, Mapping):
        yield from _object_errors(path, value, depth)
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield from _value_errors(f"{path}[{index}]", member, depth + 1)
    elif isinstance(value, str):
        if not is_storable_text(value):
            yield FieldError(path, "characters", "The text holds a NUL or half a surrogate pair; remove it.")
    elif not _is_json_scalar(value):
        yield FieldError(path, "type", "Use texts, finite numbers, true, false, null, lists and objects only.")


def _object_errors(path: str, members: Mapping[Any, Any], depth: int) -> Iterator[FieldError]:
    for name, member in members.items():
        here = f"{path}.{name}"
        if not isinstance(name, str) or not name.strip() or not is_storable_text(name):
            yield FieldError(path, "name", "Every field of a payload needs a name of ordinary characters.")
        elif isinstance(member, str) and name.lower().endswith(_ADDRESS_ENDINGS) and not _is_safe_address(member):
            yield FieldError(here, "address", "Use an http(s) address or a path that starts with one /.")
        else:
            yield from _value_errors(here, member, depth + 1)


def _is_safe_address(text: str) -> bool:
    return text == "" or (text.startswith(_SAFE_ADDRESSES) and not text.startswith(("//", "/\\")))


def _is_json_scalar(value: object) -> bool:
    if isinstance(value, float):
        return value == value and value not in (float("inf"), float("-inf"))
    return value is None or isinstance(value, bool | int)


def _size(payload: object) -> int:
    try:
        return len(json.dumps(payload, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError):
        return 0  # the faults themselves are named above
