"""What a report is made of, read in a constant number of queries for any number of experiments."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db.models import Sum

from catalog_experiments.models import Experiment, Moment, Phase, VariantMetric
from catalog_experiments.stats.moments import VariantMoments

MomentKey = tuple[str, str]
"""Variant key and metric."""


@dataclass(frozen=True, slots=True)
class PhaseTelemetry:
    """Everything measured in one phase: per variant key its newest metric row, per metric its pooled moments.

    `moments` are those of complete cohort days, `to_date` of all days. `exposed_by_day` holds the cumulative exposed
    units of each variant key by UTC day. `currencies` are those of the money moments; only the phase's own is pooled.
    """

    phase: Phase
    metrics: Mapping[str, VariantMetric] = field(default_factory=dict)
    moments: Mapping[MomentKey, VariantMoments] = field(default_factory=dict)
    to_date: Mapping[MomentKey, VariantMoments] = field(default_factory=dict)
    exposed_by_day: Mapping[date, Mapping[str, int]] = field(default_factory=dict)
    currencies: frozenset[str] = frozenset()


def latest_metrics(experiments: Iterable[Experiment]) -> dict[uuid.UUID, VariantMetric]:
    """Return each variant's newest row of the experiment's current phase, by variant id; one query.

    Newest is the last `window_start`, then the last `computed_at`. Variants without a row are absent.
    """
    rows = (
        VariantMetric.objects.filter(phase__in=_phase_ids(experiments))
        .select_related("variant")
        .order_by("variant_id", "-window_start", "-computed_at")
        .distinct("variant_id")
    )
    return {row.variant_id: row for row in rows}


def load_telemetry(experiments: Sequence[Experiment], *, now: datetime) -> dict[uuid.UUID, PhaseTelemetry]:
    """Return the telemetry of every current phase by phase id; four queries, however many experiments.

    A cohort day is complete as of the newest watermark of the metric rows, or `now` when there is none.
    """
    phases = Phase.objects.in_bulk(_phase_ids(experiments))
    metrics: dict[uuid.UUID, dict[str, VariantMetric]] = defaultdict(dict)
    for row in latest_metrics(experiments).values():
        metrics[row.phase_id][row.variant.key] = row
    watermark_at = max((row.watermark_at for rows in metrics.values() for row in rows.values()), default=now)
    pools = _pooled_moments(phases, watermark_at)
    exposed = _exposed_by_day(phases)
    return {
        key: PhaseTelemetry(
            phase=phase,
            metrics=metrics[key],
            moments=pools[key].complete,
            to_date=pools[key].to_date,
            exposed_by_day=exposed[key],
            currencies=frozenset(pools[key].currencies),
        )
        for key, phase in phases.items()
    }


def _phase_ids(experiments: Iterable[Experiment]) -> list[uuid.UUID]:
    return [experiment.current_phase_id for experiment in experiments if experiment.current_phase_id]


@dataclass
class _Pool:
    complete: dict[MomentKey, VariantMoments] = field(default_factory=dict)
    to_date: dict[MomentKey, VariantMoments] = field(default_factory=dict)
    currencies: set[str] = field(default_factory=set)


def _pooled_moments(phases: Mapping[uuid.UUID, Phase], watermark_at: datetime) -> dict[uuid.UUID, _Pool]:
    pools: dict[uuid.UUID, _Pool] = defaultdict(_Pool)
    experiments = [phase.experiment_id for phase in phases.values()]  # leads the index
    is_complete = Moment.objects.is_complete(watermark_at)
    sums = {f"all_{name}": Sum(name) for name in _SUMMED}
    sums |= {f"complete_{name}": Sum(name, filter=is_complete, default=0) for name in _SUMMED}
    rows = (
        Moment.objects.filter(experiment__in=experiments, phase__in=phases, segment="")
        .values("phase_id", "variant_key", "metric", "currency")
        .annotate(**sums)
    )
    for row in rows:
        pool, key = pools[row["phase_id"]], (row["variant_key"], row["metric"])
        pool.currencies |= {row["currency"]} - {""}
        if row["currency"] in ("", phases[row["phase_id"]].currency):
            pool.to_date[key] = _moments_of(row, "all")
            pool.complete[key] = _moments_of(row, "complete")
    return pools


_SUMMED = ("n", "total", "total_squares")


def _moments_of(row: Mapping[str, Any], kind: str) -> VariantMoments:
    return VariantMoments(*(int(row[f"{kind}_{name}"]) for name in _SUMMED))


def _exposed_by_day(phases: Mapping[uuid.UUID, Phase]) -> dict[uuid.UUID, dict[date, dict[str, int]]]:
    exposed: dict[uuid.UUID, dict[date, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    rows = VariantMetric.objects.filter(phase__in=phases).order_by("window_start", "computed_at")
    for phase_id, key, day, count in rows.values_list("phase_id", "variant__key", "window_start", "exposed_count"):
        exposed[phase_id][day][key] = count
    return exposed
