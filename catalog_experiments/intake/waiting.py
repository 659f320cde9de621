"""A connection that does a step of other work wherever it would wait for the server."""

from __future__ import annotations

import select
from typing import Any, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import Wait

from catalog_experiments.intake.steps import Work

Result = TypeVar("Result")

_POLLED = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}
_DONE = object()


def working(connection: psycopg.Connection[Any], work: Work) -> psycopg.Connection[Any]:
    """Return the connection for cursors that should not wait idly: while the server is busy, `work` goes on."""
    return cast("psycopg.Connection[Any]", _Working(connection, work))


class _Working:
    """In all but its waiting the connection it stands for."""

    def __init__(self, connection: psycopg.Connection[Any], work: Work) -> None:
        self._connection = connection
        self._work = work

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

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
