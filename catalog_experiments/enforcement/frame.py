"""Everything one evaluation looks at, read once into one frozen frame; what follows are pure functions of it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F, Q, Sum

from catalog_experiments.analysis import latest_metrics
from catalog_experiments.analysis.quality import TelemetryQuality, load_quality
from catalog_experiments.enforcement.outcomes import Gross, load_outcomes
from catalog_experiments.guardrails import HourTally
from catalog_experiments.hours import hour_of
from catalog_experiments.models import (
    CanaryAlarm,
    Experiment,
    GuardrailEvaluation,
    Moment,
    MomentMetric,
    Phase,
    VariantMetric,
)
from catalog_experiments.stats.moments import VariantMoments

HOUR = timedelta(hours=1)
FRESH = timedelta(minutes=1)
"""Older data is not judged: an ordinary pause then waits for the next round."""

RECOUNTED = 2 * HOUR
"""Exposures that arrive later than this are not counted again for the collapse check: all variants lose alike."""

# By the index on phase and time, phase by phase: `OFFSET 0` keeps each look-up behind the phase it is for. The planner
# takes a third of all exposures for as young as wanted, and would read every month from end to end.
COUNT_EXPOSURES = """
SELECT wanted.phase_id, date_trunc('hour', exposure.exposed_at, 'UTC'), exposure.variant_key, count(*)
FROM unnest(%s::uuid[], %s::date[], %s::timestamptz[]) AS wanted (phase_id, retention_month, since_at)
CROSS JOIN LATERAL (
    SELECT exposed_at, variant_key FROM catalog_bundle_exposures
    WHERE retention_month = wanted.retention_month AND phase_id = wanted.phase_id AND exposed_at >= wanted.since_at
        AND NOT (is_holdout OR is_merged OR is_fault) AND excluded_as IS NULL OFFSET 0
) AS exposure
GROUP BY 1, 2, 3
"""

# How long ago the moments of a phase were counted, by the database's clock.
AGES_OF_MOMENTS = """
SELECT phase_id, GREATEST(statement_timestamp() - recorded_to, interval '0')
FROM catalog_bundle_experiment_cursors WHERE phase_id = ANY(%s) AND recorded_to IS NOT NULL
"""

HARM_METRICS = {
    "conversion": MomentMetric.HARM.value,
    "take_rate": MomentMetric.HARM_TAKE_RATE.value,
    "revenue": MomentMetric.HARM_REVENUE.value,
}
"""Which moments the metric of a drop is judged on."""

BUYERS = MomentMetric.HARM.value
MONEY = (MomentMetric.HARM_REVENUE.value,)

ExposureCounts = Mapping[datetime, Mapping[str, int]]
"""First exposures by UTC hour and variant key."""


class Harm(NamedTuple):
    """Moments of the drop's metric over units that are due; when it is money the paying ones among them, else None."""

    moments: VariantMoments = VariantMoments()
    payers: int | None = None


@dataclass(frozen=True, slots=True)
class EvaluationFrame:
    """One experiment with its open phase and all that was measured in it up to the watermark.

    `tallies` holds net outcomes by variant key, per hour and for older ones per day of the phase, `gross` what
    they were before cancellations, `harm` what the metric of a drop came to within 24 hours (empty without such
    a bound), `exposures` first exposures by hour and variant key, `metrics` the newest metric row by variant key,
    `quality` whether telemetry can be trusted now, `is_canary_red` whether the measuring itself is in doubt.
    `previous` is the phase's last record, None before the first. `age` says how old the data is when it is judged.
    """

    experiment: Experiment
    phase: Phase
    watermark_at: datetime
    tallies: Mapping[str, Sequence[HourTally]] = field(default_factory=dict)
    gross: Mapping[str, Gross] = field(default_factory=dict)
    harm: Mapping[str, Harm] = field(default_factory=dict)
    exposures: ExposureCounts = field(default_factory=dict)
    metrics: Mapping[str, VariantMetric] = field(default_factory=dict)
    quality: TelemetryQuality = field(default_factory=TelemetryQuality)
    is_canary_red: bool = False
    previous: GuardrailEvaluation | None = None
    age: timedelta = timedelta(0)

    @property
    def judged_at(self) -> datetime:
        """The hour of the watermark, or the phase's start in its first hour.

        Blocks open on the hour, so nothing a judgement sees changes in between: unchanged data stays unchanged.
        """
        return judged_at(self.phase, self.watermark_at)


def load_frames(
    experiments: Sequence[Experiment], *, watermark_at: datetime, now: datetime | None = None
) -> dict[uuid.UUID, EvaluationFrame]:
    """Return the frame of each experiment that has a phase, by experiment id; a constant number of queries.

    `now` tells how old the data is; None says that it is judged as of its watermark, as a report does.
    """
    with _snapshot():
        phases = Phase.objects.in_bulk([own.current_phase_id for own in experiments if own.current_phase_id])
        tallies, gross = load_outcomes([(phase, judged_at(phase, watermark_at)) for phase in phases.values()])
        harm = _harm(phases, watermark_at)
        previous = GuardrailEvaluation.objects.newest_of(phases)
        exposures = _exposures(phases, previous)
        metrics = _metrics(experiments)
        aggregated_at = {key: max(row.watermark_at for row in rows.values()) for key, rows in metrics.items()}
        quality = load_quality(phases.values(), watermark_at=watermark_at, aggregated_at=aggregated_at)
        is_canary_red = CanaryAlarm.objects.standing().exists()
    return {
        experiment.pk: EvaluationFrame(
            experiment=experiment,
            phase=phase,
            watermark_at=watermark_at,
            tallies=tallies[phase.pk],
            gross=gross[phase.pk],
            harm=harm[phase.pk],
            exposures=exposures[phase.pk],
            metrics=metrics[phase.pk],
            quality=quality.get(phase.pk, TelemetryQuality()),
            is_canary_red=is_canary_red,
            previous=previous.get(phase.pk),
            age=(now or watermark_at) - watermark_at,
        )
        for experiment in experiments
        if experiment.current_phase_id and (phase := phases.get(experiment.current_phase_id))
    }


def judged_at(phase: Phase, watermark_at: datetime) -> datetime:
    """Return the hour of the watermark, or the phase's start in its first hour."""
    return max(hour_of(watermark_at), phase.opened_at)


@contextmanager
def _snapshot() -> Iterator[None]:
    # All queries see one state of the data. Inside a caller's transaction that is the caller's choice.
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _harm(phases: Mapping[uuid.UUID, Phase], watermark_at: datetime) -> dict[uuid.UUID, dict[str, Harm]]:
    """Read the metric of the drop for phases with such a bound, each as far as its facts were counted."""
    wanted = {key: phase for key, phase in phases.items() if phase.has_drop_bound}
    harm: dict[uuid.UUID, dict[str, Harm]] = defaultdict(dict)
    for counted_at, some in _by_count(wanted, watermark_at).items():
        for phase_id, by_variant in _moments(some, counted_at).items():
            metric = _harm_metric(wanted[phase_id])
            for key, found in by_variant.items():
                payers = int(found[BUYERS].total) if metric in MONEY and BUYERS in found else None
                harm[phase_id][key] = Harm(found.get(metric, VariantMoments()), payers)
    return harm


def _harm_metric(phase: Phase) -> str:
    return HARM_METRICS[phase.bounds.get("drop_metric", "conversion")]


def _by_count(phases: Mapping[uuid.UUID, Phase], watermark_at: datetime) -> dict[datetime, list[Phase]]:
    """Group phases by the watermark of their moments, to the hour: cohorts fall due on the hour, a group is a query."""
    if not phases:
        return {}
    groups: dict[datetime, list[Phase]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(AGES_OF_MOMENTS, [list(phases)])
        for phase_id, age in cursor.fetchall():
            groups[hour_of(watermark_at - age)].append(phases[phase_id])
    return groups


def _moments(phases: Sequence[Phase], counted_at: datetime) -> dict[uuid.UUID, dict[str, dict[str, VariantMoments]]]:
    found: dict[uuid.UUID, dict[str, dict[str, VariantMoments]]] = defaultdict(lambda: defaultdict(dict))
    rows = (
        Moment.objects.filter(experiment__in=[phase.experiment_id for phase in phases])  # leads the index
        .filter(phase__in=phases, metric__in=HARM_METRICS.values())
        .filter(Q(currency="") | Q(currency=F("phase__currency")))
        .filter(Moment.objects.is_due(counted_at))
        .values_list("phase_id", "variant_key", "metric")
        .annotate(Sum("n"), Sum("total"), Sum("total_squares"))
    )
    for phase_id, key, metric, n, total, total_squares in rows:
        found[phase_id][key][metric] = VariantMoments(int(n), int(total), int(total_squares))
    return found


def _metrics(experiments: Sequence[Experiment]) -> dict[uuid.UUID, dict[str, VariantMetric]]:
    metrics: dict[uuid.UUID, dict[str, VariantMetric]] = defaultdict(dict)
    for row in latest_metrics(experiments).values():
        metrics[row.phase_id][row.variant.key] = row
    return metrics


def _exposures(
    phases: Mapping[uuid.UUID, Phase], previous: Mapping[uuid.UUID, GuardrailEvaluation]
) -> dict[uuid.UUID, dict[datetime, dict[str, int]]]:
    counts: dict[uuid.UUID, dict[datetime, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    since = {key: _recounted_from(phase, previous.get(key)) for key, phase in phases.items()}
    for phase_id, record in previous.items():
        for hour_at, by_variant in _recorded_exposures(record).items():
            if hour_at < since[phase_id]:
                counts[phase_id][hour_at] = by_variant
    months = [phase.opened_at.date().replace(day=1) for phase in phases.values()]
    with connection.cursor() as cursor:
        cursor.execute(COUNT_EXPOSURES, [list(phases), months, list(since.values())])
        for phase_id, hour_at, key, count in cursor.fetchall():
            counts[phase_id][hour_at][key] = count
    return counts


def _recounted_from(phase: Phase, previous: GuardrailEvaluation | None) -> datetime:
    """Return where counting exposures begins; what is older was counted when the previous record was made."""
    if previous is None:
        return phase.opened_at
    return hour_of(previous.watermark_at) - RECOUNTED


@lru_cache(maxsize=4096)
def _moment(text: str) -> datetime:
    # The same hours stand in every record of a round.
    return datetime.fromisoformat(text)


def _recorded_exposures(record: GuardrailEvaluation) -> dict[datetime, dict[str, int]]:
    counts: dict[datetime, dict[str, int]] = defaultdict(dict)
    for observation in record.inputs["observations"]:
        for hour, _, own in observation["exposures"]:
            counts[_moment(hour)][observation["variant_key"]] = own
    return counts
