"""Read, gather, store: one run over a file of order lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from catalog_experiments.csv_files import CsvFile
from catalog_experiments.intake import ItemResult, OrderEvent, OrderLine, record_orders
from catalog_experiments.order_import import staging
from catalog_experiments.order_import.lines import OrderFormat, Tally, read_lines
from catalog_experiments.order_import.staging import StagedOrder
from catalog_experiments.progress import Progress, tell_nobody

PAGE = 500
SOURCE = "import"


@dataclass(frozen=True, slots=True)
class OrderImportResult:
    """What the file held and what became of it.

    `answers` counts the orders by the intake's outcome. Left out are single lines: returned ones (no pieces), free
    ones (no price), unreadable ones. `repeated_lines` are exact copies inside an order: added up, or dropped if asked.
    Cancellations that name no order of the file are counted, not applied.
    """

    lines: int
    returned_lines: int
    free_lines: int
    unreadable_lines: int
    repeated_lines: int
    cancellations: int
    unmatched_cancellations: int
    orders: int
    orders_with_many_units: int
    answers: Mapping[str, int]
    examples: tuple[str, ...]


def import_orders(
    path: Path, *, form: OrderFormat, now: datetime, progress: Progress = tell_nobody
) -> OrderImportResult:
    """Store the file's orders and outcomes; a killed run is completed by the next one.

    Units and references of the file lie in a temporary table for the time of the run; stored are digests of units.

    Args:
        path: CSV with a header, gzip when its name ends in .gz.
        form: its columns; see `FORMATS`.
        now: aware; the intake's clock.
        progress: told how many bytes are read, then how many orders are stored.

    Raises:
        UnreadableFile: no such file, no CSV in UTF-8, or a column is missing.
    """
    tally = Tally()
    try:
        with CsvFile(path, form.columns, delimiter=form.delimiter) as table:
            staged = staging.gather(read_lines(table, form, tally, progress), drop_repeated=form.drop_repeated_lines)
        answers = _store(staged.orders, form, now, tally, progress)
    finally:
        staging.drop()
    return OrderImportResult(
        lines=tally.lines["all"],
        returned_lines=tally.lines["returned"],
        free_lines=tally.lines["free"],
        unreadable_lines=tally.lines["unreadable"],
        repeated_lines=staged.repeated_lines,
        cancellations=staged.cancellations,
        unmatched_cancellations=staged.cancellations - staged.matched_cancellations,
        orders=staged.orders,
        orders_with_many_units=staged.with_many_units,
        answers=answers,
        examples=tuple(tally.examples),
    )


def _store(orders: int, form: OrderFormat, now: datetime, tally: Tally, tell: Progress) -> Counter[str]:
    answers: Counter[str] = Counter()
    for start in range(0, orders, PAGE):
        events = [_event(order, form) for order in staging.page(start, start + PAGE)]
        results = record_orders(events, now=now, check_lateness=False)
        answers.update(result.outcome for result in results)
        _note(events, results, tally)
        tell("storing", min(start + PAGE, orders), orders)
    return answers


def _note(events: Sequence[OrderEvent], results: Sequence[ItemResult], tally: Tally) -> None:
    for event, result in zip(events, results, strict=True):
        if result.detail:
            tally.note(f"order {event.order_ref}: {result.detail}")


def _event(order: StagedOrder, form: OrderFormat) -> OrderEvent:
    taken_back = Counter(order.returns)
    sold = [_with_returns(OrderLine(*line), taken_back) for line in order.lines]
    is_cancelled = order.returned_at is not None and all(line.returned == line.quantity for line in sold)
    return OrderEvent(
        order_ref=order.ref,
        placed_at=order.placed_at,
        currency=form.currency,
        lines=tuple(sold),
        unit_id=order.unit or None,
        source=SOURCE,
        status="cancelled" if is_cancelled else "paid",
        cancelled_at=order.returned_at if is_cancelled else None,
        refunded_minor=sum(line.returned * line.price_minor for line in sold),
    )


def _with_returns(line: OrderLine, taken_back: Counter[str]) -> OrderLine:
    returned = min(line.quantity, taken_back[line.slug])
    taken_back[line.slug] -= returned
    return replace(line, returned=returned)
