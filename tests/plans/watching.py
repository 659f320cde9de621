"""Explain what the product executes at the moment it does: with the very parameters, temporary tables and settings.

A statement goes by the name of the constant that holds it, else by that of the function that runs it, with the
temporary table it fills.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import psycopg
import pytest
from django.contrib.admin import ModelAdmin
from django.db import connection

from tests.plans.plan import WATCHED, Catalog, Plan

APPS = ("catalog_experiments", "storefront", "notifications", "smplat")
PLUMBING = ("catalog_experiments.intake.columns", "catalog_experiments.aggregation.workbench")
"""Modules that run what others say."""

EXPLAINED = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE|CREATE TEMPORARY TABLE (?P<table>\w+))\b")
ANALYZED_AFTERWARDS = re.compile(r"; ANALYZE \w+\s*$")

PARENTS = """
SELECT child.relname, parent.relname FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
WHERE child.relkind = 'i'"""
COLUMNS = """
SELECT index.relname, array_agg(attname::text ORDER BY attnum)
FROM pg_class index JOIN pg_attribute ON attrelid = index.oid WHERE relkind IN ('i', 'I') GROUP BY 1"""
PARTIAL = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indpred IS NOT NULL"
SIZES = "SELECT relname, reltuples::bigint FROM pg_class WHERE relkind = 'r' AND relpersistence = 'p'"


@dataclass(frozen=True)
class Seen:
    """A statement that was run: its name, by which verb, its text, its plan."""

    name: str
    verb: str
    text: str
    plan: Plan


@dataclass
class Watch:
    """Everything that was seen so far; `verb` is what the product does now."""

    verb: str = ""
    seen: list[Seen] = field(default_factory=list)

    @contextmanager
    def during(self, verb: str) -> Iterator[None]:
        """Look at all that is executed on this thread's connection."""
        execute, self.verb = psycopg.Cursor.execute, verb

        def explain_and_execute(cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
            # The same to the server, though a cursor that works while it waits has it by another name.
            if cursor.connection.pgconn is connection.connection.pgconn and isinstance(query, str):
                self._look(execute, cursor, query, params)
            return execute(cursor, query, params, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psycopg.Cursor, "execute", explain_and_execute)
            yield

    def _look(self, execute: Callable[..., Any], cursor: Any, query: str, params: Any) -> None:
        kind = EXPLAINED.match(query)
        if kind and any(table in query for table in WATCHED):
            name = _name_of(query, kind["table"])
            execute(cursor, f"EXPLAIN (FORMAT JSON) {ANALYZED_AFTERWARDS.sub('', query)}", params)
            [explained] = cursor.fetchone()[0]
            self.seen.append(Seen(name, self.verb, query, Plan(explained["Plan"], _catalog(execute, cursor))))


def _catalog(execute: Callable[..., Any], cursor: Any) -> Catalog:
    # Partitions come and go, and their indexes with them.
    parents, columns, sizes = (dict(execute(cursor, statement).fetchall()) for statement in (PARENTS, COLUMNS, SIZES))
    return Catalog(parents, columns, {name for (name,) in execute(cursor, PARTIAL).fetchall()}, sizes)


def _name_of(query: str, table: str | None) -> str:
    for frame in _frames():
        if named := _admin(frame):
            return named
        module = frame.f_globals["__name__"]
        if module.startswith(APPS) and module not in PLUMBING:
            constants = [name for name, value in frame.f_globals.items() if isinstance(value, str) and value == query]
            caller = constants[0] if constants else frame.f_code.co_qualname.partition(".<locals>")[0]
            return f"{module}.{caller}" + (f" ({table})" if table else "")
    raise LookupError(f"nobody of ours runs this: {query}")


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _admin(frame: FrameType) -> str:
    """Return which list of the admin is being made, where Django's own code makes it."""
    if not frame.f_globals["__name__"].startswith("django.contrib.admin"):
        return ""
    own = frame.f_locals.get("self")
    own = getattr(frame.f_locals.get("cl", own), "model_admin", own)
    return f"{type(own).__module__}.{type(own).__name__}" if isinstance(own, ModelAdmin) else ""
