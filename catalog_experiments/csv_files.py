"""Read named columns of a CSV file, plain or gzip, line by line and with a position to show."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast


class UnreadableFile(ValueError):
    """The file is missing, no CSV in UTF-8, or lacks a column; the message says which and what to do."""


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
