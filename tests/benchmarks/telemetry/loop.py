"""The rival: rows loaded as objects and summed in a plain loop, experiment by experiment, as one would without SQL.

It makes the moments and the guardrail tallies that a first aggregation makes, and stores neither. It is spared the
rest: cannibalization, other currencies, revisions, units counted apart, expected traffic, a bundle's own acceptance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from catalog_experiments.intake import served_spans
from catalog_experiments.models import Exposure, Order, Phase

DAY, HISTORY = timedelta(days=1), timedelta(days=28)
UNITS_AT_ONCE = 5_000
Sums = dict[tuple[object, ...], list[int]]
"""n, total, squares, covariate, its squares and the products, by variant, cohort day, metric and segment."""

Tallies = dict[tuple[str, datetime], list[int]]
"""First eligible orders and how many of them took the bundle, by variant and hour."""


def sums_of(phase: Phase) -> tuple[Sums, Tallies]:
    """Sum the per-unit metrics of a phase, for all units and by device, country and history; tally the outcomes."""
    sums: Sums = defaultdict(lambda: [0, 0, 0, 0, 0, 0])
    tallies: Tallies = defaultdict(lambda: [0, 0])
    for span in served_spans(phase):
        met = Exposure.objects.filter(
            phase=phase,
            exposed_at__gte=span.start_at,
            is_mixed=False,
            is_fault=False,
            is_merged=False,
            is_holdout=False,
            excluded_as=None,
        )
        if span.end_at is not None:
            met = met.filter(exposed_at__lt=span.end_at)
        for exposures in _pieces(list(met)):
            orders = _orders_of(exposures)
            for exposure in exposures:
                own = orders.get(exposure.unit, [])
                _add(sums, phase, exposure, own, span.end_at)
                _tally(tallies, phase, exposure, own, span.end_at)
    return sums, tallies


def _orders_of(exposures: Iterable[Exposure]) -> dict[UUID, list[Order]]:
    orders = Order.objects.filter(
        unit__in=[exposure.unit for exposure in exposures], status__in=["paid", "confirmed"], excluded_as=None
    )
    found: dict[UUID, list[Order]] = defaultdict(list)
    for order in orders.prefetch_related("outcomes__bundle"):
        if order.unit is not None:
            found[order.unit].append(order)
    return found


def _add(sums: Sums, phase: Phase, exposure: Exposure, orders: Sequence[Order], end_at: datetime | None) -> None:
    at, window = exposure.exposed_at, timedelta(days=phase.window_days)
    bought = [order for order in orders if at <= order.placed_at < at + window]
    history = [order for order in orders if at - HISTORY <= order.placed_at < at]
    cell = (exposure.variant_key, at.date())
    if end_at is None or at + DAY <= end_at:
        early = [order for order in bought if order.placed_at < at + DAY]
        values = {"harm": bool(early), "harm_take_rate": _took(phase, exposure, early), "harm_revenue": _revenue(early)}
        for metric, value in values.items():
            _sum(sums[(*cell, metric, "")], int(value), 0)
    if end_at is not None and at + window > end_at:
        return
    before, revenue = _capped(phase, "revenue", _revenue(history)), _capped(phase, "revenue", _revenue(bought))
    pieces = sum(line["quantity"] - line.get("returned", 0) for order in bought for line in order.lines)
    margin = sum((order.margin_minor or 0) - order.refunded_minor for order in bought)
    with_covariate = {
        "revenue": revenue,
        "margin": _capped(phase, "margin", margin),
        "conversion": int(bool(bought)),
        "take_rate": int(_took(phase, exposure, bought)),
    }
    for metric, value in with_covariate.items():
        for segment in _segments(phase, exposure, bool(history)):
            _sum(sums[(*cell, metric, segment)], value, before)
    _sum(sums[(*cell, "raw_revenue", "")], _revenue(bought), 0)
    _sum(sums[(*cell, "raw_margin", "")], margin, 0)
    _sum(sums[(*cell, "order_value", "")], revenue, len(bought))
    _sum(sums[(*cell, "units_per_order", "")], pieces, len(bought))


def _tally(
    tallies: Tallies, phase: Phase, exposure: Exposure, orders: Iterable[Order], end_at: datetime | None
) -> None:
    start = exposure.exposed_at
    end = start + timedelta(days=phase.window_days)
    end = end if end_at is None else min(end, end_at)
    eligible = [order for order in orders if start <= order.placed_at < end and _is_eligible(phase, order)]
    if eligible:
        first = min(eligible, key=lambda order: (order.placed_at, order.order_ref))
        tally = tallies[exposure.variant_key, first.placed_at.replace(minute=0, second=0, microsecond=0)]
        tally[0] += 1
        tally[1] += _took(phase, exposure, [first])


def _is_eligible(phase: Phase, order: Order) -> bool:
    offered = {variant["bundle_slug"] for variant in phase.variants}
    return any(outcome.bundle.bundle_slug in offered for outcome in order.outcomes.all())


def _sum(cell: list[int], value: int, other: int) -> None:
    for place, amount in enumerate((1, value, value * value, other, other * other, value * other)):
        cell[place] += amount


def _segments(phase: Phase, exposure: Exposure, has_history: bool) -> Iterator[str]:
    yield ""
    yield "history:returning" if has_history else "history:new"
    described: dict[str, str] = exposure.segments or {}
    for name in phase.segments:
        if name in described:
            yield f"{name}:{described[name]}"


def _took(phase: Phase, exposure: Exposure, orders: Iterable[Order]) -> bool:
    offered: dict[str, Any] = {variant["key"]: variant["bundle_slug"] for variant in phase.variants}
    return any(
        outcome.accepted and outcome.bundle.bundle_slug == offered[exposure.variant_key]
        for order in orders
        for outcome in order.outcomes.all()
    )


def _revenue(orders: Iterable[Order]) -> int:
    return sum(order.revenue_minor - order.refunded_minor for order in orders)


def _capped(phase: Phase, metric: str, amount: int) -> int:
    return min(amount, int(phase.caps.get(metric, amount)))


def _pieces(exposures: Sequence[Exposure]) -> Iterator[Sequence[Exposure]]:
    for start in range(0, len(exposures), UNITS_AT_ONCE):
        yield exposures[start : start + UNITS_AT_ONCE]
