"""The definitions once more, unit by unit in plain Python: slow, and written without a look at the SQL."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from catalog_experiments.models import Exposure, Order, OrderOutcome, Phase, UnitAlias

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def served_until(phase: Phase, moment: dt.datetime) -> dt.datetime | None:
    """Return when serving first stopped after `moment`; None when the phase did not serve then."""
    end = phase.closed_at or dt.datetime.max.replace(tzinfo=dt.UTC)
    if not phase.opened_at <= moment < end:
        return None
    for since_text, until_text in phase.unserved_spans:
        since = dt.datetime.fromisoformat(since_text)
        until = dt.datetime.fromisoformat(until_text) if until_text else end
        if since <= moment < until:
            return None
        if since > moment:
            end = min(end, since)
    return end


def counting_units(phase: Phase) -> list[tuple[Exposure, dt.datetime]]:
    marks = {"is_mixed": False, "is_fault": False, "is_merged": False, "is_holdout": False}
    return _served(phase, Exposure.objects.filter(phase=phase, excluded_as=None, **marks))


def ids_of(phase: Phase, row: Exposure) -> set[UUID]:
    """Return the ids whose orders count for an exposure: its own, and of a person all that do not count themselves."""
    known = [
        alias for alias in UnitAlias.objects.all() if phase.closed_at is None or alias.recorded_at < phase.closed_at
    ]
    customers = {alias.customer for alias in known if row.unit in (alias.visitor, alias.customer)}
    person = {unit for alias in known if alias.customer in customers for unit in (alias.visitor, alias.customer)}
    marks = {"is_mixed": False, "is_fault": False, "is_merged": False, "is_holdout": False}
    rows = Exposure.objects.filter(phase=phase, unit__in=person, excluded_as=None, **marks)
    counting = [met.unit for met in sorted(rows, key=lambda met: (met.exposed_at, met.variant_key, met.unit))]
    if counting and counting[0] == row.unit:
        return {row.unit, *person} - set(counting[1:])
    return {row.unit}


def _served(phase: Phase, rows: Iterable[Exposure]) -> list[tuple[Exposure, dt.datetime]]:
    reached = [(row, served_until(phase, row.exposed_at)) for row in rows]
    return [(row, until) for row, until in reached if until is not None]


def took(order: Order, bundle_slug: str | None) -> bool:
    return OrderOutcome.objects.filter(order=order, bundle__bundle_slug=bundle_slug, accepted=True).exists()


def reference_tallies(phase: Phase) -> dict[Any, tuple[int, int, int, int, int]]:
    """Return (n, accepted, gross n, gross accepted, revised) by variant key and hour."""
    slugs = {entry["key"]: entry["bundle_slug"] for entry in phase.variants}
    cells: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for row, until in counting_units(phase):
        placed = eligible(phase, row, until)
        for offset, candidates in ((0, [order for order in placed if order.status != "cancelled"]), (2, placed)):
            for first in candidates[:1]:
                cell = cells[row.variant_key, first.placed_at.replace(minute=0, second=0, microsecond=0)]
                cell[offset] += 1
                cell[offset + 1] += took(first, slugs[row.variant_key])
        _add_revisions(cells, row, placed, slugs[row.variant_key])
    for row, until in _served(phase, Exposure.objects.filter(phase=phase, left_at__isnull=False)):
        assert row.left_at is not None
        placed = [order for order in eligible(phase, row, until) if order.recorded_at < row.left_at]
        _add_revisions(cells, row, placed, slugs[row.variant_key])
    return {key: tuple(cell) for key, cell in cells.items()}  # type: ignore[misc]  # five of them


def eligible(phase: Phase, row: Exposure, until: dt.datetime) -> list[Order]:
    """Return the orders that may be the outcome of an exposure, cancelled ones too, in their order."""
    end = min(row.exposed_at + phase.window_days * DAY, until)
    slugs = [entry["bundle_slug"] for entry in phase.variants if entry["bundle_slug"]]
    orders = Order.objects.filter(unit__in=ids_of(phase, row), outcomes__bundle__bundle_slug__in=slugs).distinct()
    return sorted(
        (order for order in orders if row.exposed_at <= order.placed_at < end and order.status != "pending"),
        key=lambda order: (order.placed_at, order.order_ref),
    )


def _add_revisions(cells: dict[Any, list[int]], row: Exposure, placed: list[Order], bundle_slug: str | None) -> None:
    has_left_too = row.left_at is not None and any(order.status != "cancelled" for order in placed)
    if revisions := _revisions(placed, bundle_slug) + has_left_too:
        cells[row.variant_key, _hour(placed[0])][4] += revisions


def _hour(order: Order) -> dt.datetime:
    return order.placed_at.replace(minute=0, second=0, microsecond=0)


def _revisions(placed: list[Order], bundle_slug: str | None) -> int:
    """Walk through a unit's orders: each that counted and was withdrawn, and each bundle that came back, is one."""
    revisions, left_at = 0, dt.datetime.min.replace(tzinfo=dt.UTC)
    for order in placed:
        came_back = OrderOutcome.objects.filter(order=order, bundle__bundle_slug=bundle_slug, is_withdrawn=True)
        if order.cancelled_at is None:
            revisions += came_back.exists()
            break
        if order.is_withdrawn and order.cancelled_at > left_at:
            revisions, left_at = revisions + 1 + came_back.exists(), order.cancelled_at
    return revisions


Key = tuple[str, dt.date, str, str, str]
Sums = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]


def reference_moments(phase: Phase, *, hours_from: dt.date = dt.date.max) -> dict[Key, Sums]:
    """Return n and the five sums by variant key, cohort date, metric, segment and currency.

    Of days since `hours_from` harm is told by the hour too, where a drop is judged.
    """
    pairs: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    uncosted: set[dt.date] = set()
    foreign: set[tuple[dt.date, str]] = set()
    people = [Person(phase, row, until) for row, until in counting_units(phase)]
    for person in people:
        day = person.row.exposed_at.date()
        if person.is_uncut and any(order.margin_minor is None for order in person.own):
            uncosted.add(day)
        if person.is_uncut:
            foreign |= {(day, currency) for currency, paid in person.foreign.items() if paid}
    for person in people:
        day = person.row.exposed_at.date()
        for metric, segment, currency, value, under in person.values(by_hour=day >= hours_from):
            pairs[person.row.variant_key, day, metric, segment, currency].append((value, under))
        if person.is_uncut:
            for currency in (currency for other, currency in foreign if other == day):
                paid = person.foreign.get(currency, 0)
                pairs[person.row.variant_key, day, "revenue", "", currency].append((paid, 0))
    return {
        key: _summed(own)
        for key, own in pairs.items()
        if not (key[2] in ("margin", "raw_margin") and key[1] in uncosted)
    }


def _summed(pairs: list[tuple[int, int]]) -> Sums:
    values, unders = [value for value, _ in pairs], [under for _, under in pairs]
    sums = (
        sum(values),
        sum(value * value for value in values),
        sum(unders),
        sum(under * under for under in unders),
        sum(value * under for value, under in pairs),
    )
    return len(pairs), *map(Decimal, sums)  # type: ignore[return-value]  # five of them


class Person:
    """One unit that counts, and what it did before and after it met its variant."""

    def __init__(self, phase: Phase, row: Exposure, until: dt.datetime) -> None:
        self.phase, self.row = phase, row
        met, end = row.exposed_at, row.exposed_at + phase.window_days * DAY
        known = list(
            Order.objects.filter(unit__in=ids_of(phase, row), status__in=["paid", "confirmed"], excluded_as=None)
        )
        self.history = [order for order in known if met - 28 * DAY <= order.placed_at < met]
        self.orders = [order for order in known if met <= order.placed_at < end]
        self.own = [order for order in self.orders if order.currency == phase.currency]
        self.early = [order for order in self.orders if order.placed_at < met + DAY]
        self.is_uncut, self.is_uncut_day = end <= until, met + DAY <= until
        self.variant = next(entry for entry in phase.variants if entry["key"] == row.variant_key)
        self.foreign: dict[str, int] = defaultdict(int)
        for order in self.orders:
            if order.currency != phase.currency:
                self.foreign[order.currency] += net(order)

    def values(self, *, by_hour: bool) -> Iterator[tuple[str, str, str, int, int]]:
        """Yield (metric, segment, currency, value, covariate or denominator) as they count."""
        cap, money = self.phase.caps.get("revenue", 10**15), self.phase.currency
        revenue = sum(map(net, self.own))
        margin = sum((order.margin_minor or 0) - order.refunded_minor for order in self.own)
        if self.is_uncut:
            before = sum(net(order) for order in self.history if order.currency == money)
            x = min(before, cap)
            for segment in self.segments():
                yield "revenue", segment, money, min(revenue, cap), x
                yield "margin", segment, money, min(margin, self.phase.caps.get("margin", 10**15)), x
                yield "conversion", segment, "", int(bool(self.orders)), x
                yield "take_rate", segment, "", int(any(map(self.took, self.orders))), x
            yield "raw_revenue", "", money, revenue, 0
            yield "raw_margin", "", money, margin, 0
            yield "order_value", "", money, min(revenue, cap), len(self.own)
            yield "units_per_order", "", "", sum(sum(pieces(order).values()) for order in self.orders), len(self.orders)
            alone, bundled = self.parts()
            yield "cannibalization", "", "", alone, bundled
        if self.is_uncut_day:
            early = sum(net(order) for order in self.early if order.currency == money)
            for segment in ("", f"hour:{self.row.exposed_at:%H}") if by_hour else ("",):
                yield "harm", segment, "", int(bool(self.early)), 0
                yield "harm_take_rate", segment, "", int(any(map(self.took, self.early))), 0
                yield "harm_revenue", segment, money, min(early, cap), 0

    def segments(self) -> Iterator[str]:
        yield ""
        yield "history:returning" if self.history else "history:new"
        for name in ("device", "country"):
            if name in self.phase.segments and name in (self.row.segments or {}):
                yield f"{name}:{(self.row.segments or {})[name]}"

    def took(self, order: Order) -> bool:
        return took(order, self.variant["bundle_slug"])

    def parts(self) -> tuple[int, int]:
        """Return the pieces of all variants' components bought apart, and within the own bundle."""
        offers = [entry["bundle"]["components"] for entry in self.phase.variants if entry["bundle"]]
        products = {part["slug"] for offer in offers for part in offer}
        own = {part["slug"]: part["quantity"] for part in (self.variant["bundle"] or {"components": []})["components"]}
        alone = bundled = 0
        for order in self.orders:
            count = {slug: number for slug, number in pieces(order).items() if slug in products}
            inside = sum(min(number, own.get(slug, 0)) for slug, number in count.items()) if self.took(order) else 0
            alone, bundled = alone + sum(count.values()) - inside, bundled + inside
        return alone, bundled


def net(order: Order) -> int:
    return order.revenue_minor - order.refunded_minor


def pieces(order: Order) -> dict[str, int]:
    count: dict[str, int] = defaultdict(int)
    for line in order.lines:
        count[line["slug"]] += line["quantity"] - line.get("returned", 0)
    return count


def reference_counts(phase: Phase) -> dict[Any, tuple[int, ...]]:
    """Return exposed, uncut, mixed, faulty, merged, held-out and revised units by variant key and cohort date."""
    counts: dict[Any, list[int]] = defaultdict(lambda: [0] * 7)
    for row in Exposure.objects.filter(phase=phase):
        until = served_until(phase, row.exposed_at)
        if until is None:
            continue
        own = counts[row.variant_key, row.exposed_at.date()]
        marks = (row.is_mixed, row.is_fault, row.is_merged)
        if row.is_holdout:
            own[5] += 1
        elif row.excluded_as:
            continue
        elif any(marks):
            for place, mark in enumerate(marks, start=2):
                own[place] += mark
        else:
            own[0] += 1
            own[1] += row.exposed_at + phase.window_days * DAY <= until
            own[6] += any(
                _is_revised(order)
                for order in Order.objects.filter(unit__in=ids_of(phase, row))
                if _is_near(phase, row, order)
            )
    return {key: tuple(own) for key, own in counts.items()}


def _is_near(phase: Phase, row: Exposure, order: Order) -> bool:
    return row.exposed_at <= order.placed_at < row.exposed_at + phase.window_days * DAY


def _is_revised(order: Order) -> bool:
    came_back = order.refunded_minor or any(line.get("returned") for line in order.lines)
    return order.revised_at > order.recorded_at and (
        order.status == "cancelled" or (order.status != "pending" and bool(came_back))
    )
