"""Everything one evaluation looks at, read once into one frozen frame; what follows are pure functions of it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Sum

from catalog_experiments.analysis import latest_metrics
from catalog_experiments.guardrails import HourTally
from catalog_experiments.models import (
    Experiment,
    GuardrailEvaluation,
    Moment,
    MomentMetric,
    Phase,
    VariantMetric,
)
from catalog_experiments.stats.blocks import BlockClock
from catalog_experiments.stats.moments import VariantMoments

HOUR = timedelta(hours=1)
RECOUNTED = 2 * HOUR
"""Exposures that arrive later than this are not counted again for the collapse check: all variants lose alike."""

COUNT_EXPOSURES = """
SELECT exposure.phase_id, date_trunc('hour', exposure.exposed_at, 'UTC'), exposure.variant_key, count(*)
FROM unnest(%s::uuid[], %s::date[], %s::timestamptz[]) AS wanted (phase_id, retention_month, since_at)
JOIN catalog_bundle_exposures AS exposure
  ON exposure.retention_month = wanted.retention_month
  AND exposure.phase_id = wanted.phase_id
  AND exposure.exposed_at >= wanted.since_at
WHERE NOT (exposure.is_holdout OR exposure.is_merged OR exposure.is_fault)
GROUP BY 1, 2, 3
"""

# As `merge_old_hours` does it: hours too old for an hour block count as days of the phase, so that a long phase costs
# no more than a short one.
SUM_OUTCOMES = """
SELECT tally.phase_id, tally.variant_key,
       CASE WHEN 24 * (age.day + 1) > wanted.first_kept THEN tally.outcome_hour_at
            WHEN age.day = 0 THEN wanted.first_boundary_at - interval '1 hour'
            ELSE wanted.first_boundary_at + (24 * age.day - 1) * interval '1 hour' END AS hour_at,
       sum(tally.n), sum(tally.accepted), sum(tally.gross_n), sum(tally.gross_accepted)
FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::int[])
    AS wanted (phase_id, experiment_id, first_boundary_at, first_kept)
JOIN catalog_bundle_experiment_guardrail_tallies AS tally
  ON tally.experiment_id = wanted.experiment_id AND tally.phase_id = wanted.phase_id
CROSS JOIN LATERAL (
    SELECT GREATEST(0, floor(extract(epoch FROM tally.outcome_hour_at - wanted.first_boundary_at) / 3600)::int + 1) / 24
        AS day
) AS age
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""

ExposureCounts = Mapping[datetime, Mapping[str, int]]
"""First exposures by UTC hour and variant key."""


@dataclass(frozen=True, slots=True)
class EvaluationFrame:
    """One experiment with its open phase and all that was measured in it up to the watermark.

    `tallies` holds net outcomes by variant key, per hour and for older ones per day of the phase, `gross` the outcomes
    and acceptances before cancellations, `harm` the moments of conversion within 24 hours, `exposures` first exposures
    by hour and variant key, `metrics` the newest metric row by variant key. `previous` is the phase's last record, None
    before the first.
    """

    experiment: Experiment
    phase: Phase
    watermark_at: datetime
    tallies: Mapping[str, Sequence[HourTally]] = field(default_factory=dict)
    gross: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    harm: Mapping[str, VariantMoments] = field(default_factory=dict)
    exposures: ExposureCounts = field(default_factory=dict)
    metrics: Mapping[str, VariantMetric] = field(default_factory=dict)
    previous: GuardrailEvaluation | None = None

    @property
    def judged_at(self) -> datetime:
        """The hour of the watermark, or the phase's start in its first hour.

        Blocks open on the hour, so nothing a judgement sees changes in between: unchanged data stays unchanged.
        """
        return judged_at(self.phase, self.watermark_at)


def load_frames(experiments: Sequence[Experiment], *, watermark_at: datetime) -> dict[uuid.UUID, EvaluationFrame]:
    """Return the frame of each experiment that has a phase, by experiment id; six queries for any number."""
    with _snapshot():
        phases = Phase.objects.in_bulk([own.current_phase_id for own in experiments if own.current_phase_id])
        tallies, gross = _tallies(phases, watermark_at)
        harm = _harm(phases, watermark_at)
        previous = newest_evaluations(phases)
        exposures = _exposures(phases, previous)
        metrics = _metrics(experiments)
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
            previous=previous.get(phase.pk),
        )
        for experiment in experiments
        if experiment.current_phase_id and (phase := phases.get(experiment.current_phase_id))
    }


def newest_evaluations(phases: Iterable[uuid.UUID]) -> dict[uuid.UUID, GuardrailEvaluation]:
    """Return each phase's newest record by phase id; phases without one are absent."""
    rows = GuardrailEvaluation.objects.filter(phase__in=list(phases)).order_by("phase_id", "-sequence")
    return {row.phase_id: row for row in rows.distinct("phase_id")}


def judged_at(phase: Phase, watermark_at: datetime) -> datetime:
    """Return the hour of the watermark, or the phase's start in its first hour."""
    return max(hour_of(watermark_at), phase.opened_at)


def hour_of(moment: datetime) -> datetime:
    """Return the start of the hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


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


def _tallies(
    phases: Mapping[uuid.UUID, Phase], watermark_at: datetime
) -> tuple[dict[uuid.UUID, dict[str, list[HourTally]]], dict[uuid.UUID, dict[str, tuple[int, int]]]]:
    hours: dict[uuid.UUID, dict[str, list[HourTally]]] = defaultdict(lambda: defaultdict(list))
    gross: dict[uuid.UUID, dict[str, tuple[int, int]]] = defaultdict(lambda: defaultdict(lambda: (0, 0)))
    known = list(phases.values())
    clocks = [BlockClock(phase.opened_at, judged_at(phase, watermark_at)) for phase in known]
    kept = [_first_kept(phase, clock) for phase, clock in zip(known, clocks, strict=True)]
    experiments = [phase.experiment_id for phase in known]
    with connection.cursor() as cursor:
        cursor.execute(SUM_OUTCOMES, [list(phases), experiments, [clock.first_boundary_at for clock in clocks], kept])
        for phase_id, key, hour_at, n, accepted, gross_n, gross_accepted in cursor.fetchall():
            hours[phase_id][key].append(HourTally(hour_at, int(n), int(accepted)))
            before_n, before_accepted = gross[phase_id][key]
            gross[phase_id][key] = (before_n + int(gross_n), before_accepted + int(gross_accepted))
    return hours, gross


def _first_kept(phase: Phase, clock: BlockClock) -> int:
    # The batches of the rule `persistent` are cut at hours, so all of them are needed.
    return 0 if phase.bounds.get("pause_rule") == "persistent" else clock.first_kept_hour


def _harm(phases: Mapping[uuid.UUID, Phase], watermark_at: datetime) -> dict[uuid.UUID, dict[str, VariantMoments]]:
    moments: dict[uuid.UUID, dict[str, VariantMoments]] = defaultdict(dict)
    experiments = [phase.experiment_id for phase in phases.values()]  # leads the index
    rows = (
        Moment.objects.filter(experiment__in=experiments, phase__in=list(phases), metric=MomentMetric.HARM, segment="")
        .filter(Moment.objects.is_complete(watermark_at))
        .values_list("phase_id", "variant_key")
        .annotate(Sum("n"), Sum("total"), Sum("total_squares"))
    )
    for phase_id, key, n, total, total_squares in rows:
        moments[phase_id][key] = VariantMoments(int(n), int(total), int(total_squares))
    return moments


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


def _recorded_exposures(record: GuardrailEvaluation) -> dict[datetime, dict[str, int]]:
    counts: dict[datetime, dict[str, int]] = defaultdict(dict)
    for observation in record.inputs["observations"]:
        for hour, _, own in observation["exposures"]:
            counts[datetime.fromisoformat(hour)][observation["variant_key"]] = own
    return counts
