"""Record orders and what they say about bundles: first report kept, later ones move the order's state forward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import NamedTuple

from catalog_experiments.intake import order_rows
from catalog_experiments.intake.bookkeeping import note_answers
from catalog_experiments.intake.events import ItemOutcome, ItemResult, OrderEvent, Refused
from catalog_experiments.intake.fields import refuse_late
from catalog_experiments.intake.order_rows import StoredOrder
from catalog_experiments.intake.order_state import OrderRecord, digests_under_older_keys, read_order
from catalog_experiments.intake.outcomes import BundleShelf
from catalog_experiments.intake.screening import Screen
from catalog_experiments.intake.steps import Work, finish, outcome
from catalog_experiments.intake.tombstones import ERASED, Tombstones
from catalog_experiments.intake.writing import batches, chunks, collector_at_rest, read_in_turn, write_surviving
from catalog_experiments.models import IntakeKind
from catalog_experiments.units import digester

CHUNK = 5_000
"""With what they say of bundles these are over ten thousand rows."""

READ_AT_ONCE = 25
"""Orders checked at each step."""

REFUSED_BY_DATABASE = Refused("not_storable", "The database refused the item.")
CONFLICT = "Another content was stored under this order reference; the first report is kept."
UNKNOWN_BUNDLE = "Stored; it names bundles that do not exist: {names}."


@collector_at_rest()
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
    rules = _Rules(Screen.of_site(), now, check_lateness)
    results: list[ItemResult] = []
    is_news = True
    for batch, following in read_in_turn(batches(events, CHUNK, partial(_Batch, rules))):
        is_news = batch.store(is_news=is_news, meanwhile=following) and is_news
        results += batch.results()
    note_answers(IntakeKind.ORDERS, results, now=now)
    return tuple(results)


class BundleAcceptanceService:
    """The runbook's entry point: one order's word on the bundles of its products."""

    def record_order_acceptance(self, event: OrderEvent, *, now: datetime) -> ItemResult:
        """Store one order and its outcomes; see `record_orders`."""
        return record_orders([event], now=now)[0]


class _Rules(NamedTuple):
    """What the orders of one call are checked against."""

    screen: Screen
    now: datetime
    check_lateness: bool


class _Batch:
    """One chunk of orders on its way into the tables; `first_index` is the place of its first item in the call."""

    def __init__(self, rules: _Rules, first_index: int, events: Sequence[OrderEvent]) -> None:
        self._first_index = first_index
        self._events = events
        self._rules = rules
        self._orders: list[tuple[int, OrderRecord]] = []
        self._tombstones = Tombstones()
        self._digest = digester()
        self._results: dict[int, ItemResult] = {}

    def reading(self) -> Work:
        """Check the orders, a few at each step; then lay out their rows."""
        for few in chunks(list(enumerate(self._events)), READ_AT_ONCE):
            for place, event in few:
                self._take(place, event)
            yield
        self._rows = yield from order_rows.lay_out(order for _, order in self._orders)

    def _take(self, place: int, event: OrderEvent) -> None:
        try:
            order = read_order(event, now=self._rules.now, screen=self._rules.screen, digest=self._digest)
        except Refused as refused:
            self._results[place] = refused.result(self._first_index + place)
            return
        self._orders.append((place, order))
        if event.unit_id is not None:
            self._tombstones.note(event.unit_id)

    def store(self, *, is_news: bool, meanwhile: Work) -> bool:
        """Write the orders, several reports of one after the other, and say whether all were new.

        `is_news` is the hope that they are: then many of them are copied. `meanwhile` goes on while the database works.
        """
        if is_news and len(self._orders) >= order_rows.COPIED_FROM:
            is_news = not order_rows.known([self._orders[0][1].ref])  # one look spares the copying of what comes again
        for wave in _waves(self._orders):
            write_surviving(wave, partial(self._write, is_news=is_news, meanwhile=meanwhile), self._refuse)
        return all(result.outcome == "accepted" for result in self._results.values())

    def results(self) -> Iterator[ItemResult]:
        """Yield the answers in the order of the items."""
        return (self._results[place] for place in range(len(self._events)))

    def _write(self, wave: Sequence[tuple[int, OrderRecord]], *, is_news: bool, meanwhile: Work) -> None:
        wave = self._without_erased(wave)
        shelf = BundleShelf(order for _, order in wave)
        known = frozenset[str]() if is_news else order_rows.known((order.ref for _, order in wave), meanwhile=meanwhile)
        fresh = [
            order
            for _, order in wave
            if order.ref not in known and not (order.placed.is_late and self._rules.check_lateness)
        ]
        rows = self._rows if len(fresh) == len(self._orders) else outcome(order_rows.lay_out(fresh))
        outcomes: list[order_rows.Outcome] = []
        deciding = _decide(fresh, shelf, outcomes)
        inserted = order_rows.insert(rows, is_hoped_new=is_news, meanwhile=chain(deciding, meanwhile))
        finish(deciding)
        order_rows.insert_outcomes(inserted, outcomes, meanwhile=meanwhile)
        stored = order_rows.lock((order.ref for _, order in wave if order.ref not in inserted), meanwhile=meanwhile)
        revised = []
        for place, order in wave:
            if order.ref in inserted:
                self._answer(place, "accepted", *_mark(order, shelf))
            elif self._is_revised(place, order, stored.get(order.ref)):
                revised.append((stored[order.ref], order.with_state(stored[order.ref].state.merged(order.state))))
        order_rows.revise(revised)
        order_rows.withdraw_outcomes(
            (before.order_id, bundle.pk)
            for before, order in revised
            if before.state.returned != order.state.returned
            for bundle, is_taken in shelf.outcomes(order)
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
        older = digests_under_older_keys(order, self._events[place])
        if stored.digest != order.digest and stored.digest not in older:
            self._answer(place, "conflict", "content_differs", CONFLICT)
            return False
        is_news = order.state != stored.state and stored.state.merged(order.state) != stored.state
        self._answer(place, "revised" if is_news else "duplicate")
        return is_news

    def _answer(self, place: int, outcome: ItemOutcome, code: str = "", detail: str = "") -> None:
        self._results[place] = ItemResult(self._first_index + place, outcome, code, detail)

    def _refuse(self, item: tuple[int, OrderRecord], refused: Refused = REFUSED_BY_DATABASE) -> None:
        self._results[item[0]] = refused.result(self._first_index + item[0])


def _decide(orders: Sequence[OrderRecord], shelf: BundleShelf, outcomes: list[order_rows.Outcome]) -> Work:
    """Add to the outcomes what the orders say of bundles, a few orders at each step."""
    for few in chunks(orders, READ_AT_ONCE):
        outcomes += [(order.ref, bundle.key, is_taken) for order in few for bundle, is_taken in shelf.outcomes(order)]
        yield


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
