"""A way into COPY that does a step of other work wherever it would wait for the server."""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import Any, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.copy import LibpqWriter
from psycopg.waiting import Wait

Result = TypeVar("Result")

UNFLUSHED = 200_000
"""Bytes that may lie ready on our side."""

_POLLED = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}
_DONE = object()


class WorkingWriter(LibpqWriter):
    """Sends what COPY is given; while the server has not taken it, or has not stored it yet, `work` goes on."""

    def __init__(self, cursor: psycopg.Cursor[Any], work: Iterator[None]) -> None:
        """Keep the work, each step of it short: the server may be waiting for us by its end."""
        super().__init__(cursor, flush_threshold=UNFLUSHED)
        self.connection = cast("psycopg.Connection[Any]", _Working(self.connection, work))


class _Working:
    """All a writer asks of its connection: to wait."""

    def __init__(self, connection: psycopg.Connection[Any], work: Iterator[None]) -> None:
        self._connection = connection
        self._work = work

    def wait(self, waiting: PQGen[Result]) -> Result:
        return self._connection.wait(self._working(waiting))

    def _working(self, waiting: PQGen[Result]) -> PQGen[Result]:
        try:
            state = next(waiting)
            while True:
                self._work_until(state)
                state = waiting.send((yield state))
        except StopIteration as end:
            return cast("Result", end.value)

    def _work_until(self, state: Wait) -> None:
        poll = select.poll()
        poll.register(self._connection.pgconn.socket, _POLLED[state])
        while not poll.poll(0) and next(self._work, _DONE) is not _DONE:
            pass
