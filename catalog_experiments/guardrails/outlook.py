"""What the next day would bring at each variant's present rates: an estimate from a frozen record. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from catalog_experiments.stats.blocks import HOUR, HourTally

LOOKED_BACK = timedelta(days=7)
"""Whole weeks keep their rhythm; a younger phase is read from its start."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Outlook:
    """One variant's next day if every visitor of the experiment met it: expected numbers, not whole ones.

    `visitors` are the same for all variants. `orders` are first eligible orders, `takers` those of them that take
    the bundle. `takers` is None for a control that offers nothing.
    """

    variant_key: str
    is_control: bool
    visitors: float
    orders: float
    takers: float | None


def next_day(inputs: Mapping[str, Any], *, rates_since: datetime | None = None) -> tuple[Outlook, ...]:
    """Return the outlook of every variant, in the record's order; empty when no exposure was counted lately.

    Args:
        inputs: of a frozen record (see `record_inputs`).
        rates_since: since when an offer is taken as it is now, such as the opening of the block that carries most of
            the evidence; None takes the last `LOOKED_BACK`.

    Source: ratio estimates from the last `LOOKED_BACK` of the record: visitors a day, and orders per visitor of the
    variant; takers per order as of `rates_since`.
    """
    now = datetime.fromisoformat(inputs["frame"]["now"])
    since = max(datetime.fromisoformat(inputs["frame"]["opened_at"]), now - LOOKED_BACK)
    days = max((now - since) / _DAY, HOUR / _DAY)
    observed = [_Observed.of(each, since, rates_since or since) for each in inputs["observations"]]
    visitors = max((each.all_exposed for each in observed), default=0) / days
    return tuple(each.outlook(visitors) for each in observed) if visitors else ()


@dataclass(frozen=True, slots=True)
class _Observed:
    variant_key: str
    is_control: bool
    has_bundle: bool
    all_exposed: int
    exposed: int
    orders: int
    rate: float | None

    @classmethod
    def of(cls, observation: Mapping[str, Any], since: datetime, rates_since: datetime) -> _Observed:
        tallies, exposures = (_lately(observation[name], since) for name in ("tallies", "exposures"))
        recent = _lately(observation["tallies"], rates_since)
        n, accepted = sum(hour.n for hour in recent), sum(hour.accepted for hour in recent)
        return cls(
            variant_key=observation["variant_key"],
            is_control=observation["is_control"],
            has_bundle=observation["has_bundle"],
            all_exposed=sum(hour.n for hour in exposures),
            exposed=sum(hour.accepted for hour in exposures),
            orders=sum(hour.n for hour in tallies),
            rate=accepted / n if n else None,
        )

    def outlook(self, visitors: float) -> Outlook:
        orders = visitors * self.orders / self.exposed if self.exposed else 0.0
        takers = orders * (self.rate or 0.0) if self.has_bundle else None
        return Outlook(self.variant_key, self.is_control, visitors, orders, takers)


def _lately(rows: Sequence[Sequence[Any]], since: datetime) -> list[HourTally]:
    hours = (HourTally(datetime.fromisoformat(hour_at), n, accepted) for hour_at, n, accepted in rows)
    return [hour for hour in hours if hour.hour_at + HOUR > since]
