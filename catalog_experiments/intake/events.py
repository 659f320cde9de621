"""What callers report and what they hear back, item by item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

ItemOutcome = Literal["accepted", "duplicate", "conflict", "revised", "rejected"]


@dataclass(slots=True, unsafe_hash=True)  # nobody changes one; not frozen, as `ItemResult`
class ExposureEvent:
    """A unit reached the offer slot and was to see `variant_key`.

    `exposed_at` is aware; None means now. `phase` is the number of the phase the decision named, None when the caller
    does not know it. `segments` are at most 20 short texts that describe the unit then. `is_holdout` says that the
    decision held the unit out, so that it saw the control. For callers that know no better: `customer_id` is taken
    instead of `unit_id` where customers are randomized, `variant_position` (from 0, the control) instead of an empty
    `variant_key`. `traffic` (bot, staff, test) and `user_agent` tell events that are kept and never counted; the
    browser's name itself is not stored.
    """

    experiment: str
    unit_id: str
    variant_key: str
    exposed_at: datetime | None = None
    phase: int | None = None
    segments: Mapping[str, str] | None = None
    is_holdout: bool = False
    customer_id: str | None = None
    variant_position: int | None = None
    traffic: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One product of an order; price and cost per piece in minor units, cost None when unknown.

    `returned` is how many of `quantity` came back: a later report of the order repeats its lines and raises it.
    """

    slug: str
    quantity: int
    price_minor: int
    cost_minor: int | None = None
    returned: int = 0


@dataclass(frozen=True, slots=True)
class OfferTaken:
    """The offer a basket line was bought through, as the shopper saw it; honoured for orders up to `valid_until`.

    `components` is a tuple of `{"slug", "quantity"}`; empty means as the bundle is stored.
    """

    experiment: str
    variant: str
    bundle: str
    document_version: int
    valid_until: datetime | None
    components: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """An order as the shop knows it now; report it again when its state changes.

    What was ordered never changes; `status` (pending, paid, confirmed, cancelled), `cancelled_at`, `refunded_minor`
    and returned pieces only move forward, so that replays and reports out of order end in the same state.
    `accepted_bundles` names the bundles taken, None leaves it to the lines. Without `unit_id` the order feeds bundle
    acceptance and no experiment. Lines may be empty only when `accepted_bundles` is given. `traffic` (bot, staff,
    test), `user_agent` and `payment` tell orders that are kept and never counted; the latter two are not stored.
    """

    order_ref: str
    placed_at: datetime
    currency: str
    lines: tuple[OrderLine, ...]
    unit_id: str | None = None
    status: str = "paid"
    accepted_bundles: tuple[str, ...] | None = None
    offers: tuple[OfferTaken, ...] = ()
    source: str = "checkout"
    cancelled_at: datetime | None = None
    refunded_minor: int = 0
    traffic: str | None = None
    user_agent: str | None = None
    payment: str | None = None


@dataclass(slots=True)  # not frozen: each event has one, and that would treble its cost
class ItemResult:
    """What became of one item; `index` is its place in the batch.

    Outcomes: accepted (stored), duplicate (known already), revised (a known order's state moved on), conflict (another
    content under a known order reference: the first is kept), rejected. `code` is stable and may also mark an accepted
    item, as `clamped` does; `detail` is a sentence for people.
    """

    index: int
    outcome: ItemOutcome
    code: str = ""
    detail: str = ""


class Refused(ValueError):
    """An item breaks a rule: its code and a sentence that names the remedy."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.code = code
        self.detail = detail

    def result(self, index: int) -> ItemResult:
        """Return the answer for the item at `index`."""
        return ItemResult(index, "rejected", self.code, self.detail)
