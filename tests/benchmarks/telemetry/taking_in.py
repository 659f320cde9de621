"""Intake beside the plainest ways to store the same rows: binary COPY, and `bulk_create` that ignores what is known.

Each way stores rows of one content under random keys of its own into the same tables, which hold a month of facts
already, in chunks of ten thousand. `bulk_create` makes its models of values that are ready: neither it nor COPY checks
a claim, hashes an id, decides on a bundle or tells what became of each item, as intake does.

Prints by name, as JSON, the seconds by the clock and the processor seconds, those of this process and of its
PostgreSQL backend together: while the backend stores, COPY sends the next rows and intake reads them.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django.db import connection, models, transaction
from django.utils import timezone
from psycopg.types.json import Jsonb

from catalog_experiments.intake import ExposureEvent, ItemResult, OrderEvent, record_exposures, record_orders
from catalog_experiments.models import Exposure, Order, OrderOutcome
from tests.benchmarks.telemetry import stream
from tests.benchmarks.telemetry.backends import processor_seconds
from tests.benchmarks.telemetry.shop import slots_there

CHUNK = 10_000
BULK_SHARE = 4
"""`bulk_create` stores every fourth chunk only; its seconds are multiplied."""

Seconds = tuple[float, float]
"""By the clock, and of processors."""


UNNESTED = 500
Chunk = TypeVar("Chunk")


def main(count: str, seed: str = "1") -> None:
    """Store so many exposures and half as many orders by each way, and print what it took."""
    slots, now = slots_there(), timezone.now()
    json.dump(
        {
            "exposures": _exposures(list(stream.exposures(slots, int(count), now=now, seed=int(seed))), now),
            "orders": _orders(list(stream.orders(slots, int(count) // 2, now=now, seed=int(seed))), now),
        },
        sys.stdout,
    )


def _exposures(events: Sequence[ExposureEvent], now: datetime) -> dict[str, Seconds]:
    ways = _recorded(lambda: record_exposures(events, now=now))
    stored = list(Exposure.objects.filter(recorded_at__gte=now))

    def anew() -> list[list[models.Model]]:
        for row in stored:
            row.pk, row.unit = uuid4(), uuid4()
        return [list(chunk) for chunk in _chunks(stored)]

    ways |= _stored(anew)
    ready = [_rows(chunk) for chunk in anew()]
    return ways | {"unnest": _timed(lambda: _each(_unnest, ready))[0]}


def _orders(events: Sequence[OrderEvent], now: datetime) -> dict[str, Seconds]:
    ways = _recorded(lambda: record_orders(events, now=now))
    orders = list(Order.objects.filter(recorded_at__gte=now))
    outcomes: dict[UUID, list[OrderOutcome]] = {}
    for outcome in OrderOutcome.objects.filter(order__recorded_at__gte=now):
        outcomes.setdefault(outcome.order_id, []).append(outcome)

    def anew() -> list[list[models.Model]]:
        for order in orders:
            own = outcomes.pop(order.pk, [])
            order.pk, order.order_ref, order.unit = uuid4(), f"W-{uuid4().hex[:16]}", order.unit and uuid4()
            outcomes[order.pk] = own
            for outcome in own:
                outcome.pk, outcome.order_id = uuid4(), order.pk
        return [[*chunk, *(outcome for order in chunk for outcome in outcomes[order.pk])] for chunk in _chunks(orders)]

    return ways | _stored(anew)


def _recorded(record: Callable[[], Sequence[ItemResult]]) -> dict[str, Seconds]:
    """Return the seconds of the first time and of the second, which must add nothing."""
    found = {}
    for name, outcome in (("intake", "accepted"), ("replay", "duplicate")):
        found[name], results = _timed(record)
        if {result.outcome for result in results} != {outcome}:
            raise SystemExit(f"{name}: not everything was {outcome}")
    return found


def _stored(anew: Callable[[], list[list[models.Model]]]) -> dict[str, Seconds]:
    ready = [_rows(chunk) for chunk in anew()]
    found = {"copy": _timed(lambda: _each(_copy, ready))[0]}
    chunks = anew()
    some = chunks[::BULK_SHARE]
    values = [_values(chunk) for chunk in some]
    seconds, _ = _timed(lambda: _each(_bulk_create, values))
    share = sum(map(len, some)) / sum(map(len, chunks))
    found["bulk_create"] = (seconds[0] / share, seconds[1] / share)
    return found


def _rows(chunk: Sequence[models.Model]) -> list[tuple[type[models.Model], list[tuple[object, ...]]]]:
    return [
        (table, [tuple(_value(row, field) for field in table._meta.concrete_fields) for row in own])
        for table, own in _by_table(chunk)
    ]


def _copy(tables: Sequence[tuple[type[models.Model], list[tuple[object, ...]]]]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for table, rows in tables:
            fields = table._meta.concrete_fields
            names = ", ".join(_column(field) for field in fields)
            with cursor.copy(f"COPY {table._meta.db_table} ({names}) FROM STDIN (FORMAT BINARY)") as pipe:
                pipe.set_types([_type(field) for field in fields])
                for row in rows:
                    pipe.write_row(row)


def _unnest(tables: Sequence[tuple[type[models.Model], list[tuple[object, ...]]]]) -> None:
    """Insert rows of one table from arrays, five hundred at once."""
    [(table, rows)] = tables
    fields = table._meta.concrete_fields
    names, arrays = (
        ", ".join(_column(field) for field in fields),
        ", ".join(f"%s::{_type(field)}[]" for field in fields),
    )
    statement = f"INSERT INTO {table._meta.db_table} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"
    for start in range(0, len(rows), UNNESTED):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [list(column) for column in zip(*rows[start : start + UNNESTED], strict=True)])


def _values(chunk: Sequence[models.Model]) -> list[tuple[type[models.Model], list[dict[str, Any]]]]:
    return [
        (table, [{field.attname: getattr(row, field.attname) for field in table._meta.concrete_fields} for row in own])
        for table, own in _by_table(chunk)
    ]


def _bulk_create(tables: Sequence[tuple[type[models.Model], list[dict[str, Any]]]]) -> None:
    with transaction.atomic():
        for table, rows in tables:
            made = [table(**values) for values in rows]
            table._base_manager.bulk_create(made, batch_size=5_000, ignore_conflicts=True)


def _by_table(rows: Sequence[models.Model]) -> list[tuple[type[models.Model], list[models.Model]]]:
    return [(table, [row for row in rows if type(row) is table]) for table in dict.fromkeys(map(type, rows))]


def _each(store: Callable[[Chunk], None], chunks: Sequence[Chunk]) -> None:
    for chunk in chunks:
        store(chunk)


def _column(field: models.Field[Any, Any]) -> str:
    return field.column or field.name


def _type(field: models.Field[Any, Any]) -> str:
    return (field.db_type(connection) or "").partition("(")[0]


def _value(row: models.Model, field: models.Field[Any, Any]) -> object:
    value = getattr(row, field.attname)
    return Jsonb(value) if isinstance(field, models.JSONField) and value is not None else value


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _timed(work: Callable[[], Any]) -> tuple[Seconds, Any]:
    gc.collect()
    gc.freeze()  # as the servers do
    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    before, started = time.process_time() + processor_seconds(backend), time.perf_counter()
    done = work()
    elapsed = time.perf_counter() - started
    return (elapsed, time.process_time() + processor_seconds(backend) - before), done
