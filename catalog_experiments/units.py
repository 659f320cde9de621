"""Unit ids as they may be stored: a keyed digest instead of the text a caller sends.

Stands below `intake`. The raw id is known only while a request is handled; nothing stores or logs it.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from uuid import UUID

from django.conf import settings

PERSON = b"smplat-unit"
DIGEST_BYTES = 16
LONGEST_KEY_BYTES = 64


def digest_unit(unit_id: str) -> UUID:
    """Return the digest under the newest key: what exposures and orders hold.

    Raises:
        UnicodeEncodeError: the id holds a lone surrogate.
    """
    return _digest(unit_id, _keys(tuple(settings.UNIT_ID_HASH_KEY))[0])


def digests_of_unit(unit_id: str) -> tuple[UUID, ...]:
    """Return the digests under every key, newest first: where rows of a unit may be found or erased."""
    return tuple(_digest(unit_id, key) for key in _keys(tuple(settings.UNIT_ID_HASH_KEY)))


@lru_cache(maxsize=8)
def _keys(texts: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(_short(text.encode()) for text in texts)


def _short(key: bytes) -> bytes:
    # BLAKE2b takes keys of at most 64 bytes; a longer one is condensed, never cut.
    return key if len(key) <= LONGEST_KEY_BYTES else blake2b(key).digest()


def _digest(unit_id: str, key: bytes) -> UUID:
    return UUID(bytes=blake2b(unit_id.encode(), digest_size=DIGEST_BYTES, key=key, person=PERSON).digest())
