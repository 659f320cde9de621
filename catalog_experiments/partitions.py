"""Keep a partition of the exposures ready for each month in which a phase opens."""

from __future__ import annotations

import logging
from datetime import date

from django.db import DatabaseError, connection, transaction

logger = logging.getLogger(__name__)

PARENT = "catalog_bundle_exposures"
_LOCK_CLASS = 7_311_001
_LOCK_MILLISECONDS = 300


def ensure_exposure_partition(month: date) -> bool:
    """Make the partition of a month, given by any day in it; say whether the month has its own.

    Where it cannot be made now (a long query holds the table, rows lie in the default partition already, no right to
    make tables) exposures of the month go to the default partition: slower to retire, never lost. Safe to repeat.
    """
    first = month.replace(day=1)
    name = f"{PARENT}_y{first:%Yym%m}".replace("ym", "m")
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
            if not cursor.fetchone()[0]:
                _attach(name, first)
    except DatabaseError as refused:
        logger.warning("exposures of %s go to the default partition: %s", f"{first:%Y-%m}", refused)
        return False
    return True


def _attach(name: str, first: date) -> None:
    following = (first.replace(day=28) + _WEEK).replace(day=1)
    with connection.cursor() as cursor:
        # A publish must not wait behind a long aggregation, nor hold the table from those who write exposures.
        cursor.execute("SELECT current_setting('lock_timeout')")
        usual = cursor.fetchone()[0]
        cursor.execute(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, first.toordinal()])
