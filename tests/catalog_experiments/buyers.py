"""Facts by the hundred, written straight to the tables: units that met a variant, and the orders they placed."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.utils import timezone

from catalog_experiments.models import Experiment, Exposure, Order, OrderOutcome, OrderStatus, Phase

SETTLE = dt.timedelta(minutes=1)


def phase_of(experiment: Experiment) -> Phase:
    """Return the current phase of an experiment that has one."""
    assert experiment.current_phase is not None
    return experiment.current_phase


def change_phase(experiment: Experiment, **changes: Any) -> None:
    """Write fields of the current phase past every rule."""
    Phase.objects.filter(pk=phase_of(experiment).pk).update(**changes)


def add_visitors(experiment: Experiment, key: str, count: int, *, at: dt.datetime) -> list[uuid.UUID]:
    """Expose new units to a variant at one moment; return them."""
    phase = phase_of(experiment)
    units = [uuid.uuid4() for _ in range(count)]
    Exposure.objects.bulk_create(
        Exposure(
            retention_month=phase.opened_at.date().replace(day=1),
            experiment=experiment,
            phase=phase,
            unit=unit,
            variant_key=key,
            exposed_at=at,
            recorded_at=timezone.now(),
        )
        for unit in units
    )
    return units


def add_buyers(experiment: Experiment, key: str, count: int, accepted: int, *, at: dt.datetime) -> list[Order]:
    """Add units that met the variant and ordered a minute later; the first `accepted` took its bundle."""
    bundle = experiment.variants.get(key=key).bundle
    assert bundle is not None
    recorded_at = timezone.now()
    orders = [
        Order(
            order_ref=str(unit),
            unit=unit,
            placed_at=at + SETTLE,
            revenue_minor=3240,
            currency="EUR",
            recorded_at=recorded_at,
            revised_at=recorded_at,
            content_digest=unit,
        )
        for unit in add_visitors(experiment, key, count, at=at)
    ]
    Order.objects.bulk_create(orders)
    OrderOutcome.objects.bulk_create(
        OrderOutcome(order=order, bundle=bundle, accepted=number < accepted) for number, order in enumerate(orders)
    )
    return orders


def cancel(orders: list[Order], *, at: dt.datetime) -> None:
    """Cancel orders, as the shop would report it."""
    Order.objects.filter(pk__in=[order.pk for order in orders]).update(
        status=OrderStatus.CANCELLED, cancelled_at=at, is_withdrawn=True, revised_at=timezone.now()
    )


def replace_orders(orders: list[Order], *, at: dt.datetime) -> None:
    """Let each order's unit order the same once more."""
    for order in orders:
        again = uuid.uuid4()
        taken = order.outcomes.get()
        copy = Order.objects.create(
            order_ref=str(again),
            unit=order.unit,
            placed_at=at,
            revenue_minor=order.revenue_minor,
            currency=order.currency,
            recorded_at=timezone.now(),
            revised_at=timezone.now(),
            content_digest=again,
        )
        OrderOutcome.objects.create(order=copy, bundle=taken.bundle, accepted=taken.accepted)
