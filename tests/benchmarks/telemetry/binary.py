"""Rows in PostgreSQL's binary COPY format, made of bytes that are prepared once wherever they repeat.

Source: PostgreSQL documentation, COPY, "Binary Format".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from struct import Struct

from django.db.backends.utils import CursorWrapper

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
UNIX_EPOCH_MILLISECONDS = 946_684_800_000
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
YES, NO = b"\0\0\0\x01\x01", b"\0\0\0\x01\0"
PIECE = 1 << 20

_COUNT, _LENGTH, _WHOLE, _DAY = Struct("!h"), Struct("!i"), Struct("!iq"), Struct("!ii")


def columns(count: int) -> bytes:
    """Return how a row of so many columns begins."""
    return _COUNT.pack(count)


def key(value: bytes) -> bytes:
    """Return a uuid column of its 16 bytes."""
    return b"\0\0\0\x10" + value


def text(value: str) -> bytes:
    """Return a text column."""
    content = value.encode()
    return _LENGTH.pack(len(content)) + content


def document(value: bytes) -> bytes:
    """Return a jsonb column of its text."""
    return _LENGTH.pack(len(value) + 1) + b"\x01" + value


def whole(value: int) -> bytes:
    """Return a bigint column."""
    return _WHOLE.pack(8, value)


def moment(microseconds: int) -> bytes:
    """Return a timestamptz column of the microseconds since `EPOCH`."""
    return _WHOLE.pack(8, microseconds)


def day(value: date) -> bytes:
    """Return a date column."""
    return _DAY.pack(4, (value - EPOCH.date()).days)


def since_epoch(at: datetime) -> int:
    """Return the microseconds from `EPOCH` to a time."""
    passed = at - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def copy(cursor: CursorWrapper, into: str, rows: Iterable[bytes]) -> int:
    """Copy rows into `table (columns)` and return how many there were."""
    count, size, held = 0, 0, [HEADER]
    with cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)") as pipe:
        for row in rows:
            held.append(row)
            count, size = count + 1, size + len(row)
            if size > PIECE:
                pipe.write(b"".join(held))
                held, size = [], 0
        pipe.write(b"".join([*held, TRAILER]))
    return count


def ordered_key(microseconds: int, noise: int) -> bytes:
    """Return the 16 bytes of a UUIDv7 of a time since `EPOCH` and 74 bits of noise."""
    milliseconds = microseconds // 1_000 + UNIX_EPOCH_MILLISECONDS
    value = milliseconds << 80 | 7 << 76 | (noise >> 62) << 64 | 2 << 62 | noise & ((1 << 62) - 1)
    return value.to_bytes(16)
