"""Unit ids are stored as keyed digests only."""

import uuid
from hashlib import blake2b

import pytest
from pytest_django import Settings

from catalog_experiments.units import digest_unit, digests_of_unit


def test_digest__is_blake2b_of_sixteen_bytes_under_the_newest_key(settings: Settings) -> None:
    settings.UNIT_ID_HASH_KEY = ["new", "old"]

    digest = digest_unit("visitor-1")

    raw = blake2b(b"visitor-1", digest_size=16, key=b"new", person=b"smplat-unit").digest()
    assert digest == uuid.UUID(bytes=raw)


def test_digests__of_all_keys__come_newest_first(settings: Settings) -> None:
    settings.UNIT_ID_HASH_KEY = ["old"]
    old = digest_unit("visitor-1")

    settings.UNIT_ID_HASH_KEY = ["new", "old"]

    assert digests_of_unit("visitor-1") == (digest_unit("visitor-1"), old)
    assert digest_unit("visitor-1") != old


def test_digest__under_a_key_longer_than_the_hash_takes__uses_all_of_it(settings: Settings) -> None:
    settings.UNIT_ID_HASH_KEY = ["k" * 64 + "a", "k" * 64 + "b"]

    first, second = digests_of_unit("visitor-1")

    assert first != second


def test_digest__of_a_lone_surrogate__is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        digest_unit("\ud800")
