"""A batch as PostgreSQL reads it fastest: one array per column in its binary format, unnested into rows, or copied.

Source: PostgreSQL's `array_send`, the send functions of the element types, and COPY's "Binary Format"; times count
from 2000 in microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import chain, islice, repeat
from struct import Struct
from typing import Any, TypeVar

import psycopg
from django.db import connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.copy import LibpqWriter
from psycopg.pq import Format

from catalog_experiments.intake.steps import NOTHING, Work
from catalog_experiments.intake.waiting import working

Value = TypeVar("Value", bound=Hashable)

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DAY_ZERO = EPOCH.date()
NULL = b"\xff\xff\xff\xff"
YES, NO = b"\0\0\0\x01\x01", b"\0\0\0\x01\0"
BOOLEAN, BIGINT, TEXT, DATE, TIMESTAMP, UUID, JSONB = 16, 20, 25, 1082, 1184, 2950, 3802

COPIED_AT_ONCE = 500
"""Rows of a piece."""

UNFLUSHED = 200_000
"""Bytes that may lie ready on our side while the server stores those before."""

COPY_BEGINS, COPY_ENDS = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"

_HEAD, _COUNT, _LENGTH = Struct("!iiIii"), Struct("!h"), Struct("!i")
_WHOLE, _DAY = Struct("!iq"), Struct("!ii")


class Column:
    """One column of a batch, ready to be sent."""

    __slots__ = ("element", "has_null", "parts")

    def __init__(self, element: int, parts: Sequence[bytes], *, has_null: bool = False) -> None:
        """Keep the parts, each a value with its length before it; `element` is the number of their type."""
        self.element = element
        self.parts = parts
        self.has_null = has_null

    @property
    def array(self) -> bytes:
        """The column as an array."""
        return _HEAD.pack(1, self.has_null, self.element, len(self.parts), 1) + b"".join(self.parts)


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> Buffer | None:
        return obj.array


def fetch(statement: str, parameters: Sequence[object], *, meanwhile: Work = NOTHING) -> list[tuple[Any, ...]]:
    """Run a statement with columns among its parameters and return its rows; `meanwhile` is done while it runs."""
    with _cursor(meanwhile) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def execute(statement: str, parameters: Sequence[object]) -> None:
    """Run a statement with columns among its parameters."""
    with _cursor() as cursor:
        cursor.execute(statement, parameters)


def copy(into: str, columns: Sequence[Column], *, meanwhile: Work) -> None:
    """Copy the rows of columns `into` a `table (columns)` in the binary format of COPY, in which values lie as here.

    `meanwhile` does steps of other work while the server stores.
    """
    begins = repeat(_COUNT.pack(len(columns)))
    rows = zip(begins, *(column.parts for column in columns), strict=False)
    statement = f"COPY {into} FROM STDIN (FORMAT BINARY)"
    with _cursor(meanwhile) as cursor, cursor.copy(statement, writer=_writer(cursor)) as pipe:
        pipe.write(COPY_BEGINS)
        while piece := b"".join(chain.from_iterable(islice(rows, COPIED_AT_ONCE))):
            pipe.write(piece)
        pipe.write(COPY_ENDS)


def _writer(cursor: psycopg.Cursor) -> LibpqWriter:
    return LibpqWriter(cursor, flush_threshold=UNFLUSHED)


@contextmanager
def _cursor(meanwhile: Work = NOTHING) -> Iterator[psycopg.Cursor]:
    # Django's own cursor writes parameters into the text of the statement; this one sends them as they are.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    own = connection.connection if meanwhile is NOTHING else working(connection.connection, meanwhile)
    with connection.wrap_database_errors, psycopg.Cursor(own) as cursor:
        cursor.adapters.register_dumper(Column, _ColumnDumper)
        yield cursor


def uuids(values: Sequence[bytes | None]) -> Column:
    """Return a column of uuids, given as their 16 bytes."""
    return _nullable(UUID, [NULL if value is None else b"\0\0\0\x10" + value for value in values])


def texts(values: Sequence[str]) -> Column:
    """Return a column of texts."""
    return Column(TEXT, [_text(value) for value in values])


def labels(values: Sequence[str | None]) -> Column:
    """Return a column of texts of which there are few."""
    return _repeating(TEXT, values, _text)


def documents(values: Sequence[bytes | None]) -> Column:
    """Return a column of jsonb, given as JSON texts."""
    return _nullable(JSONB, [NULL if value is None else _document(value) for value in values])


def descriptions(values: Sequence[bytes | None]) -> Column:
    """Return a column of jsonb, given as JSON texts of which there are few."""
    return _repeating(JSONB, values, _document)


def wholes(values: Sequence[int | None]) -> Column:
    """Return a column of bigints."""
    return _nullable(BIGINT, [NULL if value is None else _WHOLE.pack(8, value) for value in values])


def moments(values: Sequence[datetime | None]) -> Column:
    """Return a column of aware times."""
    return _nullable(TIMESTAMP, [NULL if value is None else _WHOLE.pack(8, _microseconds(value)) for value in values])


def days(values: Sequence[date]) -> Column:
    """Return a column of dates."""
    return _repeating(DATE, values, _day)


def flags(values: Sequence[bool]) -> Column:
    """Return a column of booleans."""
    return Column(BOOLEAN, [YES if value else NO for value in values])


def _nullable(element: int, parts: Sequence[bytes]) -> Column:
    return Column(element, parts, has_null=NULL in parts)


def _repeating(element: int, values: Sequence[Value | None], part: Callable[[Value], bytes]) -> Column:
    parts = {value: NULL if value is None else part(value) for value in set(values)}
    return Column(element, [parts[value] for value in values], has_null=None in parts)


def _document(value: bytes) -> bytes:
    return _LENGTH.pack(len(value) + 1) + b"\x01" + value


def _day(value: date) -> bytes:
    return _DAY.pack(4, (value - DAY_ZERO).days)


def _text(value: str) -> bytes:
    content = value.encode()
    return _LENGTH.pack(len(content)) + content


def _microseconds(at: datetime) -> int:
    passed = at - EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
