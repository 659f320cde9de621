"""Gather lines into orders in a temporary table, so that memory stays small whatever the file's size and order.

Lines of one order need not stand together. The tables vanish with the connection, and at the end of a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from catalog_experiments.order_import.lines import Line

MAKE_LINES = """
CREATE TEMPORARY TABLE imported_lines (
    line bigint, ref text, cancels boolean, placed_at timestamptz, unit text, sku text, quantity bigint, price bigint)
"""
COPY_LINES = "COPY imported_lines FROM STDIN"
NO_TIME_LIMIT = "SET LOCAL statement_timeout = 0"
DISTINCT = "DISTINCT ON (ref, placed_at, unit, sku, quantity, price)"
IN_ORDER = "ORDER BY ref, placed_at, unit, sku, quantity, price, line"

# Exact repeats inside an order are pieces of their own unless {distinct} drops them.
MAKE_ORDERS = """
CREATE TEMPORARY TABLE imported_orders AS
WITH sold AS (
    SELECT {distinct} ref, placed_at, unit, sku, quantity, price, line FROM imported_lines WHERE NOT cancels {order}
), returned AS (
    SELECT ref, jsonb_object_agg(sku, quantity) AS returns, min(placed_at) AS returned_at
    FROM (SELECT ref, sku, sum(quantity) AS quantity, min(placed_at) AS placed_at
          FROM imported_lines WHERE cancels GROUP BY ref, sku) AS by_product
    GROUP BY ref
)
SELECT row_number() OVER (ORDER BY min(sold.line)) AS place, sold.ref, min(sold.placed_at) AS placed_at,
       COALESCE((array_agg(sold.unit ORDER BY sold.line) FILTER (WHERE sold.unit <> ''))[1], '') AS unit,
       jsonb_agg(jsonb_build_array(sold.sku, sold.quantity, sold.price)) AS lines,
       count(DISTINCT sold.unit) > 1 AS has_many_units, returned.returns, returned.returned_at
FROM sold LEFT JOIN returned USING (ref)
GROUP BY sold.ref, returned.returns, returned.returned_at
"""
INDEX_ORDERS = "CREATE INDEX ON imported_orders (place)"
COUNT = """
SELECT (SELECT count(*) FROM imported_orders),
       (SELECT count(*) FROM imported_orders WHERE has_many_units),
       (SELECT COALESCE(sum(copies - 1), 0) FROM (
            SELECT count(*) AS copies FROM imported_lines WHERE NOT cancels
            GROUP BY ref, placed_at, unit, sku, quantity, price) AS repeated),
       (SELECT count(DISTINCT ref) FROM imported_lines WHERE cancels),
       (SELECT count(DISTINCT ref) FROM imported_lines line WHERE cancels
            AND EXISTS (SELECT 1 FROM imported_orders known WHERE known.ref = line.ref))
"""
READ_PAGE = """
SELECT ref, placed_at, unit, lines, returns, returned_at FROM imported_orders
WHERE place > %s AND place <= %s ORDER BY place
"""
DROP = "DROP TABLE IF EXISTS imported_lines, imported_orders"


class StagedOrder(NamedTuple):
    """One order gathered from its lines; `lines` holds [product, quantity, price], `returns` pieces by product."""

    ref: str
    placed_at: datetime
    unit: str
    lines: list[Any]
    returns: dict[str, int]
    returned_at: datetime | None


class StagedCounts(NamedTuple):
    """What was gathered: orders, those naming more than one unit, repeated lines, cancellations, and matched ones."""

    orders: int
    with_many_units: int
    repeated_lines: int
    cancellations: int
    matched_cancellations: int


def gather(lines: Iterable[Line], *, drop_repeated: bool) -> StagedCounts:
    """Take in all lines, in any order, and return what they amount to."""
    drop()
    with transaction.atomic():
        _execute(NO_TIME_LIMIT)
        _execute(MAKE_LINES)
        with connection.cursor() as cursor, cursor.copy(COPY_LINES) as copy:
            for line in lines:
                copy.write_row(line)
        _execute(
            MAKE_ORDERS.format(distinct=DISTINCT if drop_repeated else "", order=IN_ORDER if drop_repeated else "")
        )
        _execute(INDEX_ORDERS)
        with connection.cursor() as cursor:
            cursor.execute(COUNT)
            return StagedCounts(*map(int, cursor.fetchone()))


def page(start: int, end: int) -> list[StagedOrder]:
    """Return the orders after `start` up to `end`, in the order of their first lines."""
    with connection.cursor() as cursor:
        cursor.execute(READ_PAGE, [start, end])
        return [
            StagedOrder(ref, placed_at, unit, json.loads(lines), json.loads(returns or "{}"), returned_at)
            for ref, placed_at, unit, lines, returns, returned_at in cursor.fetchall()
        ]


def drop() -> None:
    """Forget what was gathered."""
    _execute(DROP)


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
