"""What a report is made of, read in a constant number of queries for any number of experiments."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any

from django.db.models import Case, Sum, Value, When

from catalog_experiments.models import Experiment, Moment, Phase, VariantMetric
from catalog_experiments.stats.moments import JointMoments

EVERYBODY = ""
"""The segment of all units."""

MomentKey = tuple[str, str]
"""Variant key and metric."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Moments of one segment's units, by variant and metric: of complete cohort days, and of all days to date."""

    complete: dict[MomentKey, JointMoments] = field(default_factory=dict)
    to_date: dict[MomentKey, JointMoments] = field(default_factory=dict)

    def complete_of(self, variant_key: str, metric: str) -> JointMoments:
        """Return the complete units' moments, empty ones where nothing was counted."""
        return self.complete.get((variant_key, metric), JointMoments())

    def pair(self, metric: str, key: str, control_key: str) -> tuple[JointMoments, JointMoments]:
        """Return the complete units' moments of a variant and the control, or those to date while none is complete."""
        pool = self.complete if self.complete_of(key, metric).n else self.to_date
        return pool.get((key, metric), JointMoments()), pool.get((control_key, metric), JointMoments())


@dataclass(frozen=True, slots=True)
class PhaseTelemetry:
    """Everything measured in one phase: per variant key its newest metric row, per segment its pooled moments.

    `exposed_by_day` holds the cumulative exposed units of each variant key by UTC day. `currencies` are those of the
    money moments; only the phase's own is pooled.
    """

    phase: Phase
    metrics: Mapping[str, VariantMetric] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=lambda: {EVERYBODY: Pool()})
    exposed_by_day: Mapping[date, Mapping[str, int]] = field(default_factory=dict)
    currencies: frozenset[str] = frozenset()

    @property
    def pool(self) -> Pool:
        """The moments of all units."""
        return self.pools[EVERYBODY]


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


def load_telemetry(
    experiments: Sequence[Experiment], *, now: datetime, with_segments: bool = False
) -> dict[uuid.UUID, PhaseTelemetry]:
    """Return the telemetry of every current phase by phase id; four queries, however many experiments.

    The phases are read anew, and the experiments hold them from then on.

    Segments are left out unless asked for: a card has no use of them. A cohort day is complete as of the newest
    watermark of the metric rows, or `now` when there is none.
    """
    phases = _read_phases(experiments)
    metrics: dict[uuid.UUID, dict[str, VariantMetric]] = defaultdict(dict)
    for row in latest_metrics(experiments).values():
        metrics[row.phase_id][row.variant.key] = row
    watermark_at = max((row.watermark_at for rows in metrics.values() for row in rows.values()), default=now)
    pools = _pooled_moments(phases, watermark_at, with_segments=with_segments)
    exposed = _exposed_by_day(phases)
    return {
        key: PhaseTelemetry(
            phase=phase,
            metrics=metrics[key],
            pools=pools[key].by_segment,
            exposed_by_day=exposed[key],
            currencies=frozenset(pools[key].currencies),
        )
        for key, phase in phases.items()
    }


def _read_phases(experiments: Iterable[Experiment]) -> dict[uuid.UUID, Phase]:
    phases = Phase.objects.in_bulk(_phase_ids(experiments))
    for experiment in experiments:
        if experiment.current_phase_id in phases:
            experiment.current_phase = phases[experiment.current_phase_id]
    return phases


def _phase_ids(experiments: Iterable[Experiment]) -> list[uuid.UUID]:
    return [experiment.current_phase_id for experiment in experiments if experiment.current_phase_id]


@dataclass
class _Pools:
    by_segment: dict[str, Pool] = field(default_factory=lambda: {EVERYBODY: Pool()})
    currencies: set[str] = field(default_factory=set)


def _pooled_moments(
    phases: Mapping[uuid.UUID, Phase], watermark_at: datetime, *, with_segments: bool
) -> dict[uuid.UUID, _Pools]:
    pools: dict[uuid.UUID, _Pools] = defaultdict(_Pools)
    experiments = [phase.experiment_id for phase in phases.values()]  # leads the index
    is_complete = Moment.objects.is_complete(phases.values(), watermark_at)
    # Grouped by completeness and added up here: half the sums, and each row is judged once.
    told = Case(When(is_complete, then=Value(1)), default=Value(0))
    sums = {f"sum_{name}": Sum(name) for name in _SUMMED}
    moments = Moment.objects.filter(experiment__in=experiments, phase__in=phases)
    wanted = moments.of_days() if with_segments else moments.filter(segment=EVERYBODY)
    groups = ("phase_id", "variant_key", "metric", "segment", "currency", "is_complete")
    for row in wanted.annotate(is_complete=told).values(*groups).annotate(**sums):
        found, key = pools[row["phase_id"]], (row["variant_key"], row["metric"])
        found.currencies |= {row["currency"]} - {""}
        if row["currency"] in ("", phases[row["phase_id"]].currency):
            pool = found.by_segment.setdefault(row["segment"], Pool())
            summed = _moments_of(row)
            pool.to_date[key] = pool.to_date.get(key, JointMoments()) + summed
            if row["is_complete"]:
                pool.complete[key] = summed
    return pools


_SUMMED = tuple(each.name for each in fields(JointMoments))


def _moments_of(row: Mapping[str, Any]) -> JointMoments:
    return JointMoments(*(int(row[f"sum_{name}"]) for name in _SUMMED))


def _exposed_by_day(phases: Mapping[uuid.UUID, Phase]) -> dict[uuid.UUID, dict[date, dict[str, int]]]:
    exposed: dict[uuid.UUID, dict[date, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    rows = VariantMetric.objects.filter(phase__in=phases).order_by("window_start", "computed_at")
    for phase_id, key, day, count in rows.values_list("phase_id", "variant__key", "window_start", "exposed_count"):
        exposed[phase_id][day][key] = count
    return exposed
