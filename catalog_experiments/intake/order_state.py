"""An order event read strictly into what is stored, and how a known order's state moves forward. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson

from catalog_experiments.intake.events import OfferTaken, OrderEvent, OrderLine, Refused
from catalog_experiments.intake.fields import Arrival, read_text, read_time, read_whole
from catalog_experiments.intake.screening import Screen, least_reason
from catalog_experiments.models import OrderStatus
from catalog_experiments.units import digests_of_unit

MOST_LINES = 5_000
MOST_OFFERS = 200
LONGEST_SOURCE = 32
STATUSES, CANCELLED = tuple(OrderStatus.values), OrderStatus.CANCELLED.value
FORWARD = (OrderStatus.PENDING, OrderStatus.PAID, OrderStatus.CONFIRMED, OrderStatus.CANCELLED)
"""Statuses in the order an order goes through them; it never goes back."""


@dataclass(slots=True)  # nobody changes one; not frozen, as `ItemResult`
class OrderState:
    """What may change after an order was placed; `returned` counts pieces by line, in the order of the lines.

    `excluded_as` says whose order it is when it is left out of every count: a later report may be the first to tell.
    """

    status: str
    cancelled_at: datetime | None
    refunded_minor: int
    returned: tuple[int, ...]
    excluded_as: str | None = None

    def merged(self, other: OrderState) -> OrderState:
        """Return the furthest of both, so that reports may come in any order and any number of times.

        >>> paid = OrderState("paid", None, 0, (0,))
        >>> paid.merged(OrderState("pending", None, 0, (1,)))
        OrderState(status='paid', cancelled_at=None, refunded_minor=0, returned=(1,), excluded_as=None)
        """
        times = [at for at in (self.cancelled_at, other.cancelled_at) if at is not None]
        return OrderState(
            status=max(self.status, other.status, key=lambda status: FORWARD.index(OrderStatus(status))),
            cancelled_at=min(times, default=None),
            refunded_minor=max(self.refunded_minor, other.refunded_minor),
            returned=tuple(map(max, self.returned, other.returned)),
            excluded_as=least_reason(self.excluded_as, other.excluded_as),
        )


@dataclass(slots=True)  # nobody changes one; not frozen, as `ItemResult`
class OrderRecord:
    """An order as it is stored: lines merged by product and prices, sorted.

    `unit` is the digest of the unit id; `digest`, of 16 bytes as well, covers what never changes. `revenue_minor` is
    the sum over all lines as ordered.
    """

    ref: str
    unit: bytes | None
    placed: Arrival
    currency: str
    lines: tuple[OrderLine, ...]
    revenue_minor: int
    source: str
    accepted_bundles: tuple[str, ...] | None
    offers: tuple[OfferTaken, ...]
    state: OrderState
    digest: bytes

    def with_state(self, state: OrderState) -> OrderRecord:
        """Return the same order in another state."""
        lines = (replace(line, returned=count) for line, count in zip(self.lines, state.returned, strict=True))
        return replace(self, state=state, lines=tuple(lines))


def read_order(event: OrderEvent, *, now: datetime, screen: Screen, digest: Callable[[str], bytes]) -> OrderRecord:
    """Return the record of an order event; `screen` says whether it counts, `digest` hides the unit's id.

    Raises:
        Refused: a field is missing, of the wrong kind, out of range, or contradicts another.
    """
    lines, revenue_minor = _read_lines(event.lines)
    if not lines and event.accepted_bundles is None:
        raise Refused("lines_missing", "An order needs lines, or the names of the bundles it took.")
    placed = read_time(event.placed_at, now=now, name="placed_at")
    unit = None if event.unit_id is None else digest(read_text(event.unit_id, "unit_id", 255))
    named = None if event.accepted_bundles is None else tuple(sorted({*map(_bundle_name, event.accepted_bundles)}))
    ref = read_text(event.order_ref, "order_ref")
    currency, offers = _read_currency(event.currency), _read_offers(event.offers)
    return OrderRecord(
        ref=ref,
        unit=unit,
        placed=placed,
        currency=currency,
        lines=lines,
        revenue_minor=revenue_minor,
        source=read_text(event.source, "source", LONGEST_SOURCE),
        accepted_bundles=named,
        offers=offers,
        state=_read_state(event, lines, now, screen),
        # The time as claimed, not as clamped: a replay a minute later must be the same content.
        digest=_digest(unit, event.placed_at, currency, lines, named, offers),
    )


def digests_under_older_keys(order: OrderRecord, event: OrderEvent) -> Iterator[bytes]:
    """Yield what the content's digest was under each key that units had before the newest."""
    for unit in digests_of_unit(event.unit_id)[1:] if event.unit_id else ():
        yield _digest(unit.bytes, event.placed_at, order.currency, order.lines, order.accepted_bundles, order.offers)


def pieces(lines: Iterable[OrderLine], *, less_returned: bool) -> dict[str, int]:
    """Return how many pieces of each product the lines hold, with or without what came back."""
    count: dict[str, int] = {}
    for line in lines:
        count[line.slug] = count.get(line.slug, 0) + line.quantity - (line.returned if less_returned else 0)
    return count


def margin_minor(lines: Sequence[OrderLine]) -> int | None:
    """Return revenue less the cost of what stayed with the buyer; None without lines or when a cost is unknown.

    >>> margin_minor([OrderLine("cup", 2, 1000, 600, returned=1)])
    1400
    """
    margin = 0
    for line in lines:
        if line.cost_minor is None:
            return None
        margin += line.quantity * line.price_minor - (line.quantity - line.returned) * line.cost_minor
    return margin if lines else None


def _read_lines(lines: Iterable[OrderLine]) -> tuple[tuple[OrderLine, ...], int]:
    """Return the lines merged and sorted, and what they come to."""
    merged: dict[tuple[str, int, int | None], OrderLine] = {}
    revenue = 0
    for line in lines:
        price, quantity = read_whole(line.price_minor, "price_minor"), read_whole(line.quantity, "quantity", least=1)
        cost = None if line.cost_minor is None else read_whole(line.cost_minor, "cost_minor")
        if read_whole(line.returned, "returned") > quantity:
            raise Refused("returned_invalid", "returned is more than was ordered.")
        key = (read_text(line.slug, "slug"), price, cost)
        merged[key] = _together(merged[key], line) if key in merged else line
        revenue += quantity * price
    if len(merged) > MOST_LINES:
        raise Refused("lines_invalid", f"An order may hold at most {MOST_LINES} different lines.")
    read_whole(revenue, "revenue")
    return tuple(merged.values() if len(merged) < 2 else sorted(merged.values(), key=_line_order)), revenue


def _together(one: OrderLine, other: OrderLine) -> OrderLine:
    return replace(one, quantity=one.quantity + other.quantity, returned=one.returned + other.returned)


def _line_order(line: OrderLine) -> tuple[str, int, bool, int]:
    return line.slug, line.price_minor, line.cost_minor is None, line.cost_minor or 0


def _read_state(event: OrderEvent, lines: tuple[OrderLine, ...], now: datetime, screen: Screen) -> OrderState:
    if event.status not in STATUSES:
        raise Refused("status_invalid", f"status must be one of {', '.join(STATUSES)}.")
    is_cancelled = event.status == CANCELLED
    if event.cancelled_at is not None and not is_cancelled:
        raise Refused("cancelled_at_invalid", "cancelled_at belongs to the status cancelled.")
    cancelled = read_time(event.cancelled_at or now, now=now, name="cancelled_at") if is_cancelled else None
    return OrderState(
        status=str(event.status),
        cancelled_at=cancelled.at if cancelled else None,
        refunded_minor=read_whole(event.refunded_minor, "refunded_minor"),
        returned=tuple([line.returned for line in lines]),
        excluded_as=screen.order(event),
    )


def _read_currency(value: object) -> str:
    if (
        not isinstance(value, str)
        or len(value) != 3
        or not value.isascii()
        or not value.isalpha()
        or value != value.upper()
    ):
        raise Refused("currency_invalid", "currency must be three capital letters (ISO 4217), such as EUR.")
    return value


def _bundle_name(value: object) -> str:
    return read_text(value, "accepted_bundles")


def _read_offers(offers: Sequence[OfferTaken]) -> tuple[OfferTaken, ...]:
    if not offers:
        return ()
    read = tuple(sorted(offers, key=lambda offer: (str(offer.bundle), str(offer.experiment))))
    if len(read) > MOST_OFFERS:
        raise Refused("offers_invalid", f"An order may name at most {MOST_OFFERS} offers.")
    for offer in read:
        for text in (offer.experiment, offer.variant, offer.bundle):
            read_text(text, "offers")
        read_whole(offer.document_version, "document_version")
        if offer.valid_until is not None and offer.valid_until.tzinfo is None:
            raise Refused("offers_invalid", "valid_until must be a time with its zone.")
        _read_components(offer.components)
    return read


def _read_components(components: Iterable[Mapping[str, Any]]) -> None:
    for component in components:
        read_text(component.get("slug"), "components")
        read_whole(component.get("quantity", 1), "components", least=1)


def _digest(
    unit: bytes | None,
    claimed_at: datetime,
    currency: str,
    lines: tuple[OrderLine, ...],
    named: tuple[str, ...] | None,
    offers: tuple[OfferTaken, ...],
) -> bytes:
    content = [
        unit and _as_uuid(unit),
        claimed_at.timestamp(),
        currency,
        [[line.slug, line.quantity, line.price_minor, line.cost_minor] for line in lines],
        named,
        [[offer.experiment, offer.variant, offer.bundle, offer.document_version] for offer in offers],
    ]
    return blake2b(orjson.dumps(content), digest_size=16).digest()


def _as_uuid(digits: bytes) -> str:
    # A third of what an object of the class costs.
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
