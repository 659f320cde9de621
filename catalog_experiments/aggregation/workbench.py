"""Relations of one run: made as temporary tables so that the planner knows their sizes, gone when it ends.

A run sees its facts as they were at one moment, whatever is recorded meanwhile, and commits at once or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, TypeVar

from django.db import OperationalError, connection, transaction

from catalog_experiments.aggregation import scope as relations
from catalog_experiments.aggregation.scope import Scope

MEMORY = "128MB"
"""What one sort or hash of a run may take before it goes to disk; a few happen at once."""


Result = TypeVar("Result")

Guard = Callable[[], AbstractContextManager[None]]
"""Entered just before a run commits and left after: raises when another has taken over its work."""

COLLIDED = ("40001", "40P01")
"""What the database says to the later of two runs that changed the same rows: it begins anew."""

MOST_ATTEMPTS = 10


def in_one_view(work: Callable[[], Result], guard: Guard = nullcontext) -> Result:
    """Do the work in a transaction of its own, all of whose statements see the same facts; begin anew on a collision.

    Inside another transaction it is a part of that one, and sees what its statements see.
    """
    if connection.in_atomic_block:
        with transaction.atomic():
            return work()
    for _ in range(MOST_ATTEMPTS - 1):
        try:
            return _attempt(work, guard)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in COLLIDED:
                raise
    return _attempt(work, guard)


def _attempt(work: Callable[[], Result], guard: Guard) -> Result:
    with ExitStack() as until_committed, transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        result = work()
        until_committed.enter_context(guard())
        return result


# Of what a run lays out a tenth of the usual sample tells enough: the usual one of a few thousand rows takes longer
# than their joins, and of many tables a twentieth of the whole run.
FOR_NEWS = f"SET LOCAL work_mem = '{MEMORY}'; SET LOCAL default_statistics_target = 10"
# Rows of units are taken for fewer than they are: a merge would sort them all once more, on disk.
JOINED_BY_HASH = "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off"
FOR_BULK = f"{FOR_NEWS}; {JOINED_BY_HASH}; SET LOCAL statement_timeout = '180s'"
AS_BEFORE = "; ".join(
    f"SET LOCAL {name} TO DEFAULT"
    for name in ("work_mem", "default_statistics_target", "enable_nestloop", "enable_mergejoin", "statement_timeout")
)


class Workbench:
    """The tables of one run and the parameters its statements are given."""

    def __init__(self, scope: Scope, parameters: Mapping[str, Any]) -> None:
        """Start with the scope's own relations: phases, spans, offered and components."""
        self.scope = scope
        self._parameters: Mapping[str, Any] = {**scope.parameters(), **parameters}
        self._tables: list[str] = []
        self._answers: dict[str, list[tuple[Any, ...]]] = {}
        for name, select in (
            ("phases", relations.PHASES),
            ("spans", relations.SPANS),
            ("offered", relations.OFFERED),
            ("components", relations.COMPONENTS),
        ):
            self.lay_out(name, select)

    def lay_out(self, name: str, select: str) -> int:
        """Make a table of what the statement selects, and return how many rows it has."""
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE {name} AS {select}; ANALYZE {name}", self._parameters)
            self._tables.append(name)
            return int(cursor.rowcount)

    def has(self, name: str) -> bool:
        """Say whether there is a table of this name."""
        return name in self._tables

    def run(self, statement: str) -> int:
        """Run a statement and return how many rows it touched."""
        with connection.cursor() as cursor:
            cursor.execute(statement, self._parameters)
            return int(cursor.rowcount)

    def fetch(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        with connection.cursor() as cursor:
            cursor.execute(statement, self._parameters)
            return list(cursor.fetchall())

    def fetch_once(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement whose answer no statement of the run changes: asked the first time alone."""
        if statement not in self._answers:
            self._answers[statement] = self.fetch(statement)
        return self._answers[statement]

    def clear(self) -> None:
        """Drop the tables."""
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {', '.join(self._tables)}")


@contextmanager
def workbench(scope: Scope, *, is_bulk: bool = False, **parameters: Any) -> Iterator[Workbench]:
    """Yield a workbench for the scope; call it inside a transaction, whose end in failure drops the tables too.

    Statements are given the scope's parameters and those named here.

    Bulk work is planned with hash joins alone: a nested loop over two large relations, one of them just made
    or just grown, would never end.
    """
    with connection.cursor() as cursor:
        cursor.execute(FOR_BULK if is_bulk else FOR_NEWS)
    bench = Workbench(scope, parameters)
    yield bench
    bench.clear()
    with connection.cursor() as cursor:
        cursor.execute(AS_BEFORE)
