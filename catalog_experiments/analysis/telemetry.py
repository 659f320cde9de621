"""What a report is made of, read in a constant number of queries for any number of experiments."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from django.db.models import Sum

from catalog_experiments.models import Experiment, Moment, Phase, VariantMetric
from catalog_experiments.stats.moments import VariantMoments

MomentKey = tuple[str, str]
"""Variant key and metric."""


@dataclass(frozen=True, slots=True)
class PhaseTelemetry:
    """Everything measured in one phase: per variant key its newest metric row, per metric its pooled moments.

    `exposed_by_day` holds the cumulative exposed units of each variant key by UTC day. `currencies` are those of the
    money moments; only the phase's own currency is pooled.
    """

    phase: Phase
    metrics: Mapping[str, VariantMetric] = field(default_factory=dict)
    moments: Mapping[MomentKey, VariantMoments] = field(default_factory=dict)
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


def load_telemetry(experiments: Sequence[Experiment]) -> dict[uuid.UUID, PhaseTelemetry]:
    """Return the telemetry of every current phase by phase id; four queries, however many experiments."""
    phases = Phase.objects.in_bulk(_phase_ids(experiments))
    metrics: dict[uuid.UUID, dict[str, VariantMetric]] = defaultdict(dict)
    for row in latest_metrics(experiments).values():
        metrics[row.phase_id][row.variant.key] = row
    moments, currencies = _pooled_moments(phases)
    exposed = _exposed_by_day(phases)
    return {
        key: PhaseTelemetry(phase, metrics[key], moments[key], exposed[key], frozenset(currencies[key]))
        for key, phase in phases.items()
    }


def _phase_ids(experiments: Iterable[Experiment]) -> list[uuid.UUID]:
    return [experiment.current_phase_id for experiment in experiments if experiment.current_phase_id]


def _pooled_moments(
    phases: Mapping[uuid.UUID, Phase],
) -> tuple[dict[uuid.UUID, dict[MomentKey, VariantMoments]], dict[uuid.UUID, set[str]]]:
    pooled: dict[uuid.UUID, dict[MomentKey, VariantMoments]] = defaultdict(dict)
    currencies: dict[uuid.UUID, set[str]] = defaultdict(set)
    experiments = [phase.experiment_id for phase in phases.values()]  # leads the index
    rows = (
        Moment.objects.filter(experiment__in=experiments, phase__in=phases, segment="")
        .values_list("phase_id", "variant_key", "metric", "currency")
        .annotate(Sum("n"), Sum("total"), Sum("total_squares"))
    )
    for phase_id, variant_key, metric, currency, n, total, total_squares in rows:
        currencies[phase_id] |= {currency} - {""}
        if currency in ("", phases[phase_id].currency):
            pooled[phase_id][variant_key, metric] = VariantMoments(int(n), int(total), int(total_squares))
    return pooled, currencies


def _exposed_by_day(phases: Mapping[uuid.UUID, Phase]) -> dict[uuid.UUID, dict[date, dict[str, int]]]:
    exposed: dict[uuid.UUID, dict[date, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    rows = VariantMetric.objects.filter(phase__in=phases).order_by("window_start", "computed_at")
    for phase_id, key, day, count in rows.values_list("phase_id", "variant__key", "window_start", "exposed_count"):
        exposed[phase_id][day][key] = count
    return exposed
