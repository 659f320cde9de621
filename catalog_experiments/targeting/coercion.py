"""Values as JavaScript sees them: the SDKs' reference is written in it, so the server must coerce alike."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal


def identity(value: object) -> object:
    """Return a key that is equal exactly when JavaScript's `===` holds; lists and objects equal nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return ("boolean", value)
    return value if isinstance(value, int | float) else object()


def is_truthy(value: object) -> bool:
    """Return the value as JavaScript's `!!value` reads it: lists and objects are true even when empty."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return bool(value) if isinstance(value, bool | int | float | str) else value is not None


def to_number(value: object) -> float:
    """Return the value as JavaScript's `Number(value)` reads it; NaN when it is none."""
    if value is None or isinstance(value, bool | int | float):
        return value or 0
    if not isinstance(value, str):
        value = to_text(value)
    text = value.strip()
    if not text:
        return 0
    if not _DECIMAL.fullmatch(text):
        return float(int(text, 0)) if _PREFIXED.fullmatch(text) else math.nan
    return float(text)


_DECIMAL = re.compile(r"[+-]?(?:Infinity|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)", re.ASCII)
_PREFIXED = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")


def to_text(value: object) -> str:
    """Return the value as JavaScript's `value + ""` writes it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number_text(value)
    if isinstance(value, list | tuple):
        return ",".join("" if member is None else to_text(member) for member in value)
    return "[object Object]"


def _number_text(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    # JavaScript writes small numbers out down to 1e-6, and exponents without a leading zero.
    written = repr(value).replace("e-0", "e-")
    return f"{Decimal(written):f}" if 1e-6 <= abs(value) < 1 else written


def is_same_json(actual: object, wanted: object) -> bool:
    """Compare as `JSON.stringify` of both would: the order of keys counts, 1 and 1.0 are one number."""
    if isinstance(actual, Mapping) and isinstance(wanted, Mapping):
        return list(actual) == list(wanted) and all(is_same_json(actual[key], wanted[key]) for key in wanted)
    if isinstance(actual, list | tuple) and isinstance(wanted, list | tuple):
        return len(actual) == len(wanted) and all(map(is_same_json, actual, wanted))
    return identity(actual) == identity(wanted)
