# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""Reconstruct the metric rows of past days from facts, as each day's last run would have written them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from catalog_experiments.aggregation.metric_rows import (
    FIGURES,
    VariantCounts,
    rows_of_day,
    save_rows,
    variants_by_phase,
)
from catalog_experiments.aggregation.runs import Progress, require_lookback
from catalog_experiments.aggregation.scope import Scope, without_nested_loops
from catalog_experiments.aggregation.tallies import FIRST_OUTCOMES
from catalog_experiments.models import ExperimentStatus, Phase, PhaseOrigin, VariantMetric

SLICE = 10
"""Phases read by one statement."""

ACCEPTED_BY_DAY = f"""
WITH {FIRST_OUTCOMES}
SELECT phase_id, variant_key, (placed_at AT TIME ZONE 'UTC')::date AS day,
       sum(net), sum(net * accepted::int), 0, 0, 0
FROM firsts WHERE net = 1 GROUP BY 1, 2, 3
"""

EXPOSED_BY_DAY = """
SELECT phase_id, variant_key, (exposed_at AT TIME ZONE 'UTC')::date AS day, 0, 0,
       count(*) FILTER (WHERE NOT (is_mixed OR is_fault OR is_merged OR is_holdout)),
       count(*) FILTER (WHERE is_mixed AND NOT is_holdout),
       count(*) FILTER (WHERE is_fault AND NOT is_holdout)
FROM catalog_bundle_exposures
WHERE retention_month = ANY(%(months)s) AND phase_id = ANY(%(phases)s)
GROUP BY 1, 2, 3
"""

RowKey = tuple[UUID, UUID, date, int]


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """How many rows were made, changed and found right; `diffs` says each created and changed one in a line."""

    created: int
    changed: int
    unchanged: int
    diffs: tuple[str, ...]


def backfill(
    *,
    lookback_days: int,
    now: datetime,
    slug: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> BackfillResult:
    """Write the rows of each UTC day of the look-back, today's included, from the facts as they are known now.

    A row counts what was placed and exposed before its day ended, since its phase began. Rows that are right already
    stay untouched, so a second run changes nothing. All or nothing: one transaction.

    Args:
        lookback_days: days back from today, 1 to 3650.
        now: aware.
        slug: one experiment only.
        dry_run: read and compare, write nothing.
        progress: told how many of how many slices of phases are read.

    Raises:
        InvalidLookback: the look-back is out of range.
    """
    require_lookback(lookback_days)
    phases = _phases(lookback_days, now, slug)
    result = BackfillResult(0, 0, 0, ())
    with transaction.atomic():
        for start in range(0, len(phases), SLICE):
            part = phases[start : start + SLICE]
            result = _plus(result, _fill(part, lookback_days, now, dry_run=dry_run))
            if progress is not None:
                progress(min(start + SLICE, len(phases)), len(phases))
    return result


def _phases(lookback_days: int, now: datetime, slug: str | None) -> list[Phase]:
    known = Phase.objects.exclude(origin=PhaseOrigin.SEEDED).exclude(experiment__status=ExperimentStatus.DRAFT)
    if slug is not None:
        known = known.filter(experiment__slug=slug)
    first = _first_day(lookback_days, now)
    ordered = known.select_related("experiment").order_by("experiment__slug", "number")
    return [phase for phase in ordered if phase.closed_at is None or phase.closed_at.astimezone(UTC).date() >= first]


def _fill(phases: list[Phase], lookback_days: int, now: datetime, *, dry_run: bool) -> BackfillResult:
    rows = list(_reconstructed(phases, lookback_days, now))
    known = {
        _key(row): row
        for row in VariantMetric.objects.filter(phase__in=phases, window_start__gte=_first_day(lookback_days, now))
    }
    created = [row for row in rows if _key(row) not in known]
    changed = [row for row in rows if _key(row) in known and _differences(known[_key(row)], row)]
    if not dry_run:
        save_rows(created + changed)
    slugs = {phase.pk: phase.experiment.slug for phase in phases}
    diffs = [_created_line(slugs, row) for row in created]
    diffs += [_changed_line(slugs, row, _differences(known[_key(row)], row)) for row in changed]
    return BackfillResult(len(created), len(changed), len(rows) - len(created) - len(changed), tuple(sorted(diffs)))


def _reconstructed(phases: list[Phase], lookback_days: int, now: datetime) -> Iterator[VariantMetric]:
    by_day = _counts_by_day(phases)
    variants = variants_by_phase(phases)
    for phase in phases:
        counts = {(phase.pk, entry["key"]): VariantCounts() for entry in phase.variants}
        last = min(now, phase.closed_at or now).astimezone(UTC).date()
        for day in _days(phase.opened_at.astimezone(UTC).date(), last):
            for key in counts:
                counts[key] = _sum(counts[key], by_day.get((*key, day), VariantCounts()))
            if day >= _first_day(lookback_days, now):
                for row in rows_of_day(phase, variants[phase.pk], counts, day):
                    row.computed_at = row.watermark_at = now
                    yield row


def _counts_by_day(phases: Sequence[Phase]) -> dict[tuple[UUID, str, date], VariantCounts]:
    counts: dict[tuple[UUID, str, date], VariantCounts] = {}
    parameters = Scope.of(phases).parameters()
    with without_nested_loops(), connection.cursor() as cursor:
        for statement in (ACCEPTED_BY_DAY, EXPOSED_BY_DAY):
            cursor.execute(statement, parameters)
            for phase_id, variant_key, day, *numbers in cursor.fetchall():
                key = (phase_id, variant_key, day)
                counts[key] = _sum(counts.get(key, VariantCounts()), VariantCounts(*map(int, numbers)))
    return counts


def _sum(one: VariantCounts, other: VariantCounts) -> VariantCounts:
    return VariantCounts(
        one.sample + other.sample,
        one.accepted + other.accepted,
        one.exposed + other.exposed,
        one.mixed + other.mixed,
        one.faults + other.faults,
    )


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def _first_day(lookback_days: int, now: datetime) -> date:
    return now.astimezone(UTC).date() - timedelta(days=lookback_days)


def _key(row: VariantMetric) -> RowKey:
    return row.variant_id, row.phase_id, row.window_start, row.lookback_days


def _differences(known: VariantMetric, row: VariantMetric) -> list[str]:
    return [
        f"{name} {getattr(known, name)} -> {getattr(row, name)}"
        for name in FIGURES
        if getattr(known, name) != getattr(row, name)
    ]


def _created_line(slugs: Mapping[UUID, str], row: VariantMetric) -> str:
    return f"{_name(slugs, row)}: created, {row.acceptance_count}/{row.sample_size} of {row.exposed_count} exposed"


def _changed_line(slugs: Mapping[UUID, str], row: VariantMetric, differences: list[str]) -> str:
    return f"{_name(slugs, row)}: {', '.join(differences)}"


def _name(slugs: Mapping[UUID, str], row: VariantMetric) -> str:
    return f"{row.window_start} {slugs[row.phase_id]}/{row.variant.key}"


def _plus(one: BackfillResult, other: BackfillResult) -> BackfillResult:
    return BackfillResult(
        one.created + other.created,
        one.changed + other.changed,
        one.unchanged + other.unchanged,
        one.diffs + other.diffs,
    )
