"""The definitions once more, unit by unit in plain Python: slow, and written without a look at the SQL."""

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import Any

from catalog_experiments.models import Exposure, Order, OrderOutcome, Phase

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
    rows = Exposure.objects.filter(phase=phase, is_mixed=False, is_fault=False, is_merged=False, is_holdout=False)
    reached = [(row, served_until(phase, row.exposed_at)) for row in rows]
    return [(row, until) for row, until in reached if until is not None]


def took(order: Order, bundle_slug: str | None) -> bool:
    return OrderOutcome.objects.filter(order=order, bundle__bundle_slug=bundle_slug, accepted=True).exists()


def reference_tallies(phase: Phase) -> dict[Any, tuple[int, int, int, int]]:
    """Return (n, accepted, gross n, gross accepted) by variant key and hour."""
    slugs = {entry["key"]: entry["bundle_slug"] for entry in phase.variants}
    cells: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row, until in counting_units(phase):
        end = min(row.exposed_at + phase.window_days * DAY, until)
        orders = Order.objects.filter(
            unit=row.unit, outcomes__bundle__bundle_slug__in=[slug for slug in slugs.values() if slug]
        ).distinct()
        placed = sorted(
            (order for order in orders if row.exposed_at <= order.placed_at < end and order.status != "pending"),
            key=lambda order: (order.placed_at, order.order_ref),
        )
        for offset, candidates in ((0, [order for order in placed if order.status != "cancelled"]), (2, placed)):
            for first in candidates[:1]:
                cell = cells[row.variant_key, first.placed_at.replace(minute=0, second=0, microsecond=0)]
                cell[offset] += 1
                cell[offset + 1] += took(first, slugs[row.variant_key])
    return {key: (n, accepted, gross, taken) for key, (n, accepted, gross, taken) in cells.items()}


def reference_moments(phase: Phase) -> dict[Any, tuple[int, Decimal, Decimal]]:
    """Return (n, total, total of squares) by variant key, cohort date, metric and currency; orders in one currency."""
    slugs = {entry["key"]: entry["bundle_slug"] for entry in phase.variants}
    values: dict[Any, list[int]] = defaultdict(list)
    unknown: set[dt.date] = set()
    for row, until in counting_units(phase):
        end, day = row.exposed_at + phase.window_days * DAY, row.exposed_at.date()
        orders = [
            order
            for order in Order.objects.filter(unit=row.unit, status__in=["paid", "confirmed"])
            if row.exposed_at <= order.placed_at < end
        ]
        if row.exposed_at + DAY <= until:
            early = any(order.placed_at < row.exposed_at + DAY for order in orders)
            values[row.variant_key, day, "harm", ""].append(int(early))
        if end > until:
            continue
        values[row.variant_key, day, "conversion", ""].append(int(bool(orders)))
        taken = any(took(order, slugs[row.variant_key]) for order in orders)
        values[row.variant_key, day, "take_rate", ""].append(int(taken))
        revenue = sum(order.revenue_minor - order.refunded_minor for order in orders)
        values[row.variant_key, day, "revenue", "EUR"].append(min(revenue, phase.caps.get("revenue", revenue)))
        if any(order.margin_minor is None for order in orders):
            unknown.add(day)
        margin = sum((order.margin_minor or 0) - order.refunded_minor for order in orders)
        values[row.variant_key, day, "margin", "EUR"].append(min(margin, phase.caps.get("margin", margin)))
    return {
        key: (len(own), Decimal(sum(own)), Decimal(sum(value * value for value in own)))
        for key, own in values.items()
        if not (key[2] == "margin" and key[1] in unknown)
    }
