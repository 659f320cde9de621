"""Read named columns of a CSV file, plain or gzip, line by line with a position to show, and what stands in them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast


class UnreadableFile(ValueError):
    """The file is missing, no CSV in UTF-8, or lacks a column; the message says which and what to do."""


class UnreadableLine(ValueError):
    """A line does not hold what its columns should; the message says what is wrong."""


class CsvFile:
    """An open CSV file with a header, of which some columns are read; use it in a `with` block, once."""

    def __init__(self, path: Path, columns: Sequence[str], *, delimiter: str = ",") -> None:
        """Open the file and find the columns.

        Raises:
            UnreadableFile: it cannot be opened, a column is missing, or the delimiter is not one character.
        """
        self._path = path
        if len(delimiter) != 1:
            raise UnreadableFile(f"{delimiter!r} cannot separate columns: a delimiter is one character, such as ';'.")
        try:
            self._raw = path.open("rb")
        except OSError as error:
            raise UnreadableFile(f"{path} cannot be opened: {error.strerror}.") from error
        self._size = path.stat().st_size
        unpacked = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw
        text = io.TextIOWrapper(cast("BinaryIO", unpacked), encoding="utf-8-sig", newline="")
        self._rows = csv.reader(text, delimiter=delimiter)
        try:
            self._places = self._find(columns)
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield (line number, values in the order of the columns); absent values are ''.

        Raises:
            UnreadableFile: the file breaks off, or a line is no CSV in UTF-8.
        """
        pick, width = itemgetter(*self._places, self._places[0]), max(self._places) + 1
        for row in self._readable():
            if len(row) < width:
                row += [""] * (width - len(row))
            yield self._rows.line_num, pick(row)[:-1]

    def position(self) -> tuple[int, int]:
        """Return the bytes read and the bytes there are, both as they lie on disk."""
        return (self._raw.tell(), self._size)

    def _find(self, columns: Sequence[str]) -> list[int]:
        header = next(self._readable(), [])
        missing = [name for name in columns if name not in header]
        if missing:
            raise UnreadableFile(
                f"{self._path} has no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, header))}."
            )
        return [header.index(name) for name in columns]

    def _readable(self) -> Iterator[list[str]]:
        try:
            yield from self._rows
        except (csv.Error, UnicodeDecodeError, EOFError, OSError) as error:
            raise UnreadableFile(f"{self._path}, after line {self._rows.line_num}: {error}.") from error


def parse_time(text: str) -> datetime:
    """Return a time in ISO 8601; one without a zone is UTC.

    Raises:
        UnreadableLine: it is something else.

    >>> parse_time("2026-07-01T14:00").isoformat()
    '2026-07-01T14:00:00+00:00'
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableLine(f"{text!r} is no time in ISO 8601") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def parse_amount(text: str, minor_digits: int) -> int:
    """Return an amount of a currency's main unit in minor units; halves are rounded away from zero.

    Raises:
        UnreadableLine: it is no finite number.

    >>> parse_amount("3.395", 2), parse_amount("-0.5", 0)
    (340, -1)
    """
    try:
        return int(Decimal(text).scaleb(minor_digits).to_integral_value(ROUND_HALF_UP))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise UnreadableLine(f"{text!r} is no amount") from error
