"""Record orders and what they say about bundles: first report kept, later ones move the order's state forward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from catalog_experiments.intake import order_rows
from catalog_experiments.intake.events import ItemOutcome, ItemResult, OrderEvent, Refused
from catalog_experiments.intake.fields import refuse_late
from catalog_experiments.intake.order_rows import StoredOrder
from catalog_experiments.intake.order_state import OrderRecord, read_order
from catalog_experiments.intake.outcomes import BundleShelf
from catalog_experiments.intake.screening import Screen
from catalog_experiments.intake.tombstones import ERASED, Tombstones
from catalog_experiments.intake.writing import chunks, read_ahead, write_surviving

CHUNK = 2_000
REFUSED_BY_DATABASE = Refused("not_storable", "The database refused the item.")
CONFLICT = "Another content was stored under this order reference; the first report is kept."
UNKNOWN_BUNDLE = "Stored; it names bundles that do not exist: {names}."


def record_orders(
    events: Sequence[OrderEvent], *, now: datetime, check_lateness: bool = True
) -> tuple[ItemResult, ...]:
    """Store orders with their outcomes and answer for each, in their order, after commit.

    Idempotent by the order reference: the first content is kept, the same content again is a duplicate, another
    content a conflict. A new status, cancellation, refund or returned piece is a revision; states only move forward, so
    any order and repetition of the reports ends in the same rows. Codes that mark stored items: `excluded` (a bot's,
    staff's or test order: kept and never counted), `clamped`, `bundle_unknown`.

    Args:
        events: any number; written in chunks, each in its own transaction.
        now: aware; orders up to 5 minutes ahead become now, later ones are rejected.
        check_lateness: False lets an import bring orders older than 30 days; revisions may always be older.
    """
    if not events:
        return ()
    screen = Screen.of_site()

    def read(place: int, piece: Sequence[OrderEvent]) -> _Batch:
        batch = _Batch(place * CHUNK, screen, now, check_lateness)
        for event in piece:
            batch.take(event)
        return batch

    results: list[ItemResult] = []
    for batch in read_ahead(list(chunks(events, CHUNK)), read):
        batch.store()
        results += batch.results()
    return tuple(results)


class BundleAcceptanceService:
    """The runbook's entry point: one order's word on the bundles of its products."""

    def record_order_acceptance(self, event: OrderEvent, *, now: datetime) -> ItemResult:
        """Store one order and its outcomes; see `record_orders`."""
        return record_orders([event], now=now)[0]


class _Batch:
    """One chunk of orders on its way into the tables; `first_index` is the place of its first item in the call."""

    def __init__(self, first_index: int, screen: Screen, now: datetime, check_lateness: bool) -> None:
        self._first_index = first_index
        self._now = now
        self._check_lateness = check_lateness
        self._screen = screen
        self._orders: list[tuple[int, OrderRecord]] = []
        self._tombstones = Tombstones()
        self._results: dict[int, ItemResult] = {}
        self._count = 0

    def take(self, event: OrderEvent) -> None:
        """Check one order."""
        place, self._count = self._count, self._count + 1
        try:
            order = read_order(event, now=self._now, screen=self._screen)
        except Refused as refused:
            self._results[place] = refused.result(self._first_index + place)
            return
        self._orders.append((place, order))
        if event.unit_id is not None:
            self._tombstones.note(event.unit_id)

    def store(self) -> None:
        """Write the orders; several reports of one order are written one after the other, in their order."""
        for wave in _waves(self._orders):
            write_surviving(wave, self._write, self._refuse)

    def results(self) -> Iterator[ItemResult]:
        """Yield the answers in the order of the items."""
        return (self._results[place] for place in range(self._count))

    def _write(self, wave: Sequence[tuple[int, OrderRecord]]) -> None:
        wave = self._without_erased(wave)
        shelf = BundleShelf(order for _, order in wave)
        fresh = [order for _, order in wave if not (order.placed.is_late and self._check_lateness)]
        inserted = order_rows.insert(fresh)
        order_rows.insert_outcomes(
            (inserted[order.ref], *outcome)
            for order in fresh
            if order.ref in inserted
            for outcome in shelf.outcomes(order)
        )
        known = order_rows.locked(order.ref for _, order in wave if order.ref not in inserted)
        revised = []
        for place, order in wave:
            if order.ref in inserted:
                self._answer(place, "accepted", *_mark(order, shelf))
            elif self._is_revised(place, order, known.get(order.ref)):
                revised.append((known[order.ref], order.with_state(known[order.ref].state.merged(order.state))))
        order_rows.revise(revised)
        order_rows.withdraw_outcomes(
            (stored.order_id, bundle_id)
            for stored, order in revised
            if stored.state.returned != order.state.returned
            for bundle_id, is_taken in shelf.outcomes(order)
            if not is_taken
        )

    def _without_erased(self, wave: Sequence[tuple[int, OrderRecord]]) -> list[tuple[int, OrderRecord]]:
        erased = self._tombstones.erased()
        for item in wave:
            if item[1].unit in erased:
                self._refuse(item, ERASED)
        return [item for item in wave if item[1].unit not in erased]

    def _is_revised(self, place: int, order: OrderRecord, stored: StoredOrder | None) -> bool:
        if stored is None:
            self._results[place] = refuse_late("placed_at").result(self._first_index + place)
            return False
        if stored.digest != order.digest:
            self._answer(place, "conflict", "content_differs", CONFLICT)
            return False
        is_news = stored.state.merged(order.state) != stored.state
        self._answer(place, "revised" if is_news else "duplicate")
        return is_news

    def _answer(self, place: int, outcome: ItemOutcome, code: str = "", detail: str = "") -> None:
        self._results[place] = ItemResult(self._first_index + place, outcome, code, detail)

    def _refuse(self, item: tuple[int, OrderRecord], refused: Refused = REFUSED_BY_DATABASE) -> None:
        self._results[item[0]] = refused.result(self._first_index + item[0])


def _mark(order: OrderRecord, shelf: BundleShelf) -> tuple[str, str]:
    if order.state.excluded_as is not None:
        return "excluded", ""
    if unknown := shelf.unknown_names(order):
        return "bundle_unknown", UNKNOWN_BUNDLE.format(names=", ".join(unknown))
    return ("clamped", "") if order.placed.is_clamped else ("", "")


def _waves(orders: Iterable[tuple[int, OrderRecord]]) -> list[list[tuple[int, OrderRecord]]]:
    # The n-th report of a reference goes into the n-th wave: one statement cannot touch a row twice.
    waves: list[list[tuple[int, OrderRecord]]] = []
    seen: dict[str, int] = {}
    for item in orders:
        turn = seen[item[1].ref] = seen.get(item[1].ref, -1) + 1
        if turn == len(waves):
            waves.append([])
        waves[turn].append(item)
    return waves
