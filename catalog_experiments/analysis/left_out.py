"""Whom a phase met and whom it left out, and when its data could not be trusted: what stands behind every count."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Sum

from catalog_experiments.analysis.quality import TelemetryQuality, load_arrivals
from catalog_experiments.intake import retention_month
from catalog_experiments.models import ExcludedTraffic, Phase, TelemetryGap, TelemetryHour, VariantMetric

FOREVER = datetime.max.replace(tzinfo=UTC)

# By the key of the exposures, order by order, from the few orders that are left out.
EXCLUDED_ORDERS = """
SELECT wanted.phase_id, exposure.variant_key, placed.excluded_as, count(*)
FROM unnest(%(phases)s::uuid[], %(experiments)s::uuid[], %(months)s::date[], %(since)s::timestamptz[],
            %(until)s::timestamptz[]) AS wanted(phase_id, experiment_id, month, opened_at, closed_at)
JOIN catalog_checkout_orders placed
    ON placed.excluded_as IS NOT NULL AND placed.placed_at >= wanted.opened_at AND placed.placed_at < wanted.closed_at
CROSS JOIN LATERAL (
    SELECT variant_key FROM catalog_bundle_exposures
    WHERE retention_month = wanted.month AND retention_month = ANY(%(months)s)
        AND experiment_id = wanted.experiment_id AND phase_id = wanted.phase_id AND unit = placed.unit OFFSET 0
) exposure
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """Units of one variant as of the last aggregation: `exposed` ones count, the others but cut and revised do not.

    `cut` units lost a part of their window to a pause or an end and leave the fixed-window metrics; `revised` ones have
    a counted order that was changed afterwards. Both are among the exposed. The excluded are `bots`, `staff`, `tests`.
    """

    exposed: int = 0
    mixed: int = 0
    faulty: int = 0
    merged: int = 0
    held_out: int = 0
    cut: int = 0
    revised: int = 0
    bots: int = 0
    staff: int = 0
    tests: int = 0

    @property
    def excluded(self) -> int:
        """Units left out by rule."""
        return self.bots + self.staff + self.tests

    @property
    def met(self) -> int:
        """All units that reached the slot: the count before anything was left out."""
        return self.exposed + self.mixed + self.faulty + self.merged + self.held_out + self.excluded

    def __add__(self, other: UnitCounts) -> UnitCounts:
        """Count the units of both."""
        return UnitCounts(*(getattr(self, name) + getattr(other, name) for name in UnitCounts.__slots__))


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which the data could not be trusted, and the cause's code; `ended_at` is None while it lasts."""

    cause: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class DataQuality:
    """How trustworthy the telemetry of a phase is.

    `joined_orders` of `orders` with the anchor product, in the last 24 hours, come from a unit that met the phase;
    `usual_join_rate` is a share in [0, 1], None when not known. `foreign_orders` were paid in another currency than the
    phase's and are in no money metric. `excluded_orders` counts by variant key and reason (bot, staff, test).
    """

    joined_orders: int = 0
    orders: int = 0
    usual_join_rate: float | None = None
    last_exposure_at: datetime | None = None
    foreign_orders: int = 0
    excluded_orders: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()


def unit_counts(row: VariantMetric | None) -> UnitCounts:
    """Return the units of a variant as its metric row tells them; none without a row."""
    if row is None:
        return UnitCounts()
    excluded = row.metadata.get("excluded_counts", {})
    return UnitCounts(
        exposed=row.exposed_count,
        **{name: row.metadata.get(key, 0) for name, key in _TOLD_AS.items()},
        bots=excluded.get(ExcludedTraffic.BOT, 0),
        staff=excluded.get(ExcludedTraffic.STAFF, 0),
        tests=excluded.get(ExcludedTraffic.TEST, 0),
    )


def load_data_quality(phases: Sequence[Phase], *, now: datetime) -> dict[uuid.UUID, DataQuality]:
    """Return the data quality of each phase by its id, in a constant number of queries."""
    quality = load_arrivals(phases, watermark_at=now)
    foreign, excluded, gaps = _foreign_orders(phases), _excluded_orders(phases), _gaps(phases)
    found = {}
    for phase in phases:
        own = DataQuality(
            foreign_orders=foreign.get(phase.pk, 0),
            excluded_orders=excluded.get(phase.pk, {}),
            gaps=tuple(gaps[phase.pk]),
        )
        found[phase.pk] = _with_joins(own, quality.get(phase.pk))
    return found


_TOLD_AS = {
    "mixed": "mixed_count",
    "faulty": "fault_count",
    "merged": "merged_count",
    "held_out": "holdout_count",
    "cut": "cut_count",
    "revised": "revised_count",
}
"""Counts by the key under which a metric row keeps them."""


def _with_joins(own: DataQuality, quality: TelemetryQuality | None) -> DataQuality:
    if quality is None:
        return own
    rate = quality.join_rate
    return replace(
        own,
        joined_orders=rate.recent.joined,
        orders=rate.recent.orders,
        usual_join_rate=rate.usual,
        last_exposure_at=quality.seen_at,
    )


def _foreign_orders(phases: Sequence[Phase]) -> dict[uuid.UUID, int]:
    rows = TelemetryHour.objects.filter(phase__in=phases).values_list("phase_id").annotate(count=Sum("foreign_count"))
    return dict(rows)


def _excluded_orders(phases: Sequence[Phase]) -> dict[uuid.UUID, dict[str, dict[str, int]]]:
    orders: dict[uuid.UUID, dict[str, dict[str, int]]] = {}
    columns: dict[str, list[Any]] = {
        "phases": [phase.pk for phase in phases],
        "experiments": [phase.experiment_id for phase in phases],
        "months": [retention_month(phase.opened_at) for phase in phases],
        "since": [phase.opened_at for phase in phases],
        "until": [phase.closed_at or FOREVER for phase in phases],
    }
    with connection.cursor() as cursor:
        cursor.execute(EXCLUDED_ORDERS, columns)
        for phase_id, key, reason, count in cursor.fetchall():
            orders.setdefault(phase_id, {}).setdefault(key, {})[reason] = count
    return orders


def _gaps(phases: Sequence[Phase]) -> dict[uuid.UUID, list[Gap]]:
    closed = {phase.pk: phase.closed_at for phase in phases}
    gaps: dict[uuid.UUID, list[Gap]] = defaultdict(list)
    for gap in TelemetryGap.objects.filter(phase__in=phases).order_by("started_at", "cause"):
        gaps[gap.phase_id].append(Gap(gap.cause, gap.started_at, gap.ended_at or closed[gap.phase_id]))
    return gaps
