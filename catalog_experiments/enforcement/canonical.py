"""One spelling for each JSON value, the same before it is stored and after it is read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

LARGEST_PLAIN_FLOAT = 1e16
"""From here on Python writes floats with an exponent, and PostgreSQL gives them back as whole numbers."""


ATOMS = frozenset({int, str, bool, type(None)})


def plain(value: Any) -> Any:
    """Return a JSON value as PostgreSQL's jsonb gives it back: no minus zero, no exponents, lists for tuples."""
    if type(value) in ATOMS:  # most of a record: asked first, because it is asked a thousand times
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [each if type(each) in ATOMS else plain(each) for each in value]
    if isinstance(value, float):
        return int(value) if abs(value) >= LARGEST_PLAIN_FLOAT else value + 0.0
    return value


def canonical_json(value: Any) -> str:
    """Return the one text of a JSON value: sorted keys, no spaces, ASCII.

    Raises:
        ValueError: NaN or infinity, which JSON does not have.

    >>> canonical_json({"b": -0.0, "a": (1, 2.5)})
    '{"a":[1,2.5],"b":0.0}'
    """
    return text_of(plain(value))


def text_of(plain_value: Any) -> str:
    """Return the one text of a value that `plain` gave, or the database; saves going through it once more."""
    return json.dumps(plain_value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical text, in hexadecimal."""
    return digest_of(plain(value))


def digest_of(plain_value: Any) -> str:
    """Return the digest of a value that `plain` gave, or the database."""
    return hashlib.sha256(text_of(plain_value).encode()).hexdigest()
