"""Reconstruct the metric rows of past days from facts, as each day's last run would have written them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from catalog_experiments.aggregation.cohorts import COUNT
from catalog_experiments.aggregation.erased import lay_out_erased
from catalog_experiments.aggregation.metric_rows import (
    FIGURES,
    VariantCounts,
    rows_of_day,
    save_rows,
    variants_by_phase,
)
from catalog_experiments.aggregation.runs import Progress, require_lookback
from catalog_experiments.aggregation.scope import Scope
from catalog_experiments.aggregation.units import ALL_EXPOSURES, measure_all
from catalog_experiments.aggregation.workbench import Guard, in_one_view, workbench
from catalog_experiments.models import ExperimentStatus, Phase, PhaseOrigin, VariantMetric

SLICE = 25
"""Phases read and written at once."""

ACCEPTED_BY_DAY = """
SELECT phase_id, variant_key, (net_at AT TIME ZONE 'UTC')::date AS day, count(*), sum(net_accepted)
FROM measured WHERE net_at IS NOT NULL GROUP BY 1, 2, 3
"""

REVISED_BY_DAY = """
SELECT phase_id, variant_key, cohort_date, count(*) FROM measured WHERE is_revised GROUP BY 1, 2, 3
"""

EXPOSED_BY_DAY = """
SELECT phase_id, variant_key, cohort_date, exposed, exposed - uncut, 0, mixed, faulty, merged, holdout, bots, staff,
       tests
FROM counted WHERE segment = ''
"""

# What erased units had added stands for their facts.
ERASED_ACCEPTED_BY_DAY = """
SELECT phase_id, variant_key, (outcome_hour_at AT TIME ZONE 'UTC')::date AS day, sum(n), sum(accepted)
FROM erased_tallies GROUP BY 1, 2, 3
"""

ERASED_BY_DAY = """
SELECT phase_id, variant_key, cohort_date, exposed, exposed - uncut, revised, mixed, faulty, merged, holdout, bots,
       staff, tests
FROM erased WHERE segment = '' AND currency = ''
"""

ADDED_UP = ((ACCEPTED_BY_DAY, 0), (EXPOSED_BY_DAY, 2), (REVISED_BY_DAY, 4))
ERASED_ADDED_UP = ((ERASED_ACCEPTED_BY_DAY, 0), (ERASED_BY_DAY, 2))
"""Statements by the place of their first number in `VariantCounts`."""

RowKey = tuple[UUID, UUID, date, int]
CountsByDay = dict[tuple[UUID, str, date], VariantCounts]
"""By phase, variant key and UTC day: orders by theirs, units by that of their exposure."""


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """How many rows were made, changed and found right; `diffs` says each created and changed one in a line.

    `retired` phases were skipped: their facts have left, so their rows stand as they are.
    """

    created: int
    changed: int
    unchanged: int
    diffs: tuple[str, ...]
    retired: int = 0


def backfill(
    *,
    lookback_days: int,
    now: datetime,
    slug: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    guard: Guard = nullcontext,
) -> BackfillResult:
    """Write the rows of each UTC day of the look-back, today's included, from the facts as they are known now.

    A row counts what was placed and exposed before its day ended, since its phase began. Rows that are right already
    stay untouched, so a second run changes nothing, and one after a kill goes on where the first was: each slice of
    phases is committed by itself. Safe beside a running aggregation.

    Args:
        lookback_days: days back from today, 1 to 3650.
        now: aware.
        slug: one experiment only.
        dry_run: read and compare, write nothing.
        progress: told how many of how many phases are read.
        guard: entered around each commit; raises when the work was taken over.

    Raises:
        InvalidLookback: the look-back is out of range.
    """
    require_lookback(lookback_days)
    phases = _phases(lookback_days, now, slug)
    result = BackfillResult(0, 0, 0, ())
    for start in range(0, len(phases), SLICE):
        part = phases[start : start + SLICE]
        result = _plus(result, in_one_view(partial(_fill, part, lookback_days, now, dry_run=dry_run), guard))
        if progress is not None:
            progress(start + len(part), len(phases))
    return result


def _phases(lookback_days: int, now: datetime, slug: str | None) -> list[Phase]:
    known = Phase.objects.exclude(origin=PhaseOrigin.SEEDED).exclude(experiment__status=ExperimentStatus.DRAFT)
    if slug is not None:
        known = known.filter(experiment__slug=slug)
    first = _first_day(lookback_days, now)
    ordered = known.select_related("experiment").order_by("experiment__slug", "number")
    return [phase for phase in ordered if phase.closed_at is None or phase.closed_at.astimezone(UTC).date() >= first]


def _countable(phases: list[Phase]) -> list[Phase]:
    """Return those of the phases whose facts are there, and hold off their retirement until the transaction ends."""
    closed = {phase.pk for phase in phases if phase.closed_at is not None}
    held = Phase.objects.with_facts().select_for_update(of=("self",), no_key=True).filter(pk__in=closed).order_by("pk")
    with_facts = {phase.pk for phase in held}
    return [phase for phase in phases if phase.pk not in closed or phase.pk in with_facts]


def _fill(wanted: list[Phase], lookback_days: int, now: datetime, *, dry_run: bool) -> BackfillResult:
    phases = _countable(wanted)
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
    unchanged, retired = len(rows) - len(created) - len(changed), len(wanted) - len(phases)
    return BackfillResult(len(created), len(changed), unchanged, tuple(sorted(diffs)), retired)


def _reconstructed(phases: list[Phase], lookback_days: int, now: datetime) -> Iterator[VariantMetric]:
    by_day = _counts_by_day(phases)
    variants = variants_by_phase(phases)
    for phase in phases:
        counts = {(phase.pk, entry["key"]): VariantCounts() for entry in phase.variants}
        last = min(now, phase.closed_at or now).astimezone(UTC).date()
        for day in _days(phase.opened_at.astimezone(UTC).date(), last):
            for key in counts:
                counts[key] = counts[key] + by_day.get((*key, day), VariantCounts())
            if day >= _first_day(lookback_days, now):
                for row in rows_of_day(phase, variants[phase.pk], counts, day):
                    row.computed_at = row.watermark_at = now
                    yield row


def _counts_by_day(phases: Sequence[Phase]) -> CountsByDay:
    counts: CountsByDay = {}
    if not phases:
        return counts
    with workbench(Scope.of(phases), is_bulk=True) as bench:
        measure_all(bench)
        bench.lay_out("counted", COUNT.format(spans="", chosen=ALL_EXPOSURES))
        lay_out_erased(bench)
        for statement, place in (*ADDED_UP, *(ERASED_ADDED_UP if bench.has("erased") else ())):
            for phase_id, variant_key, day, *numbers in bench.fetch(statement):
                key = (phase_id, variant_key, day)
                own = VariantCounts(*([0] * place), *map(int, numbers))
                counts[key] = counts.get(key, VariantCounts()) + own
    return counts


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def _first_day(lookback_days: int, now: datetime) -> date:
    return now.astimezone(UTC).date() - timedelta(days=lookback_days)


def _key(row: VariantMetric) -> RowKey:
    return row.variant_id, row.phase_id, row.window_start, row.lookback_days


def _differences(known: VariantMetric, row: VariantMetric) -> list[str]:
    before, after = _told(known), _told(row)
    return [f"{name} {before.get(name)} -> {after[name]}" for name in after if before.get(name) != after[name]]


def _told(row: VariantMetric) -> dict[str, Any]:
    # The units that were left out stand beside the figures, and are reconstructed with them.
    return {**{name: getattr(row, name) for name in FIGURES}, **row.metadata}


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
        one.retired + other.retired,
    )
