"""Keep a partition of the exposures ready for each month in which a phase opens."""

from __future__ import annotations

import logging
from datetime import date, timedelta

from django.db import DatabaseError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

logger = logging.getLogger(__name__)

PARENT = "catalog_bundle_exposures"
_LOCK_CLASS = 7_311_001
_LOCK_MILLISECONDS = 300


def partition_name(month: date) -> str:
    """Return the name of the partition for the exposures of a month, given by any day in it.

    >>> partition_name(date(2026, 3, 14))
    'catalog_bundle_exposures_2026_03'
    """
    return f"{PARENT}_{month:%Y_%m}"


def ensure_exposure_partition(month: date) -> bool:
    """Make the partition of a month, given by any day in it; say whether the month has its own.

    Where it cannot be made now (a long query holds the table, rows lie in the default partition already, no right to
    make tables) exposures of the month go to the default partition: slower to retire, never lost. Safe to repeat.
    """
    first = month.replace(day=1)
    name = partition_name(first)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            if not _exists(cursor, name):
                _make(cursor, name, first)
    except DatabaseError as refused:
        logger.warning("exposures of %s go to the default partition: %s", f"{first:%Y-%m}", refused)
        return False
    return True


def _exists(cursor: CursorWrapper, name: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
    return bool(cursor.fetchone()[0])


def _make(cursor: CursorWrapper, name: str, first: date) -> None:
    # A publish must not wait behind a long aggregation, nor hold off those who write exposures: the table is made apart
    # and attached, which locks the parent against neither, and gives up soon.
    cursor.execute("SELECT current_setting('lock_timeout')")
    usual = cursor.fetchone()[0]
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_LOCK_MILLISECONDS}ms"])
    cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, first.toordinal()])
    if not _exists(cursor, name):
        _attach(cursor, name, first)
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [usual])


def _attach(cursor: CursorWrapper, name: str, first: date) -> None:
    following = (first + timedelta(days=31)).replace(day=1)
    parts = {"name": sql.Identifier(name), "parent": sql.Identifier(PARENT)}
    span = {"first": sql.Literal(first), "following": sql.Literal(following)}
    for statement in (
        "CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        "ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({following})",
    ):
        cursor.execute(sql.SQL(statement).format(**parts, **span))
