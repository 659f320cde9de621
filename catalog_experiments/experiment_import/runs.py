"""Read, replay, complete, report: one run over a file of units."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from pathlib import Path

from catalog_experiments import lifecycle
from catalog_experiments.aggregation import aggregate_experiments
from catalog_experiments.analysis import Report, analyze
from catalog_experiments.csv_files import UnreadableFile
from catalog_experiments.drafting import create_draft
from catalog_experiments.drafting.specification import ExperimentSpec, VariantSpec
from catalog_experiments.experiment_import.lines import ExperimentFormat, Outline, UnitRow, read_outline, read_rows
from catalog_experiments.intake import (
    ExposureEvent,
    ItemResult,
    OrderEvent,
    OrderLine,
    record_exposures,
    record_orders,
)
from catalog_experiments.models import Experiment, ExperimentStatus, Exposure, PhaseOrigin, PrimaryMetric
from catalog_experiments.progress import Progress, tell_nobody

ACTOR = "system:import_experiment"
SOURCE = "import"
BATCH = 5_000
MATURING = timedelta(days=1, hours=1)
"""After the last window: its cohort's day must be over, and an hour passed for late events."""


@dataclass(frozen=True, slots=True)
class ExperimentImportResult:
    """What was stored: units by variant key, outcomes, units seen in two variants, and the final report."""

    experiment: Experiment
    units: Mapping[str, int]
    outcomes: int
    mixed_units: int
    report: Report


class AlreadyImported(ValueError):
    """An experiment of this slug exists and is not an import that was broken off."""


def import_experiment(
    path: Path,
    *,
    slug: str,
    control: str,
    now: datetime,
    form: ExperimentFormat,
    name: str = "",
    start: date | None = None,
    window_days: int = 7,
    progress: Progress = tell_nobody,
) -> ExperimentImportResult:
    """Store the file as a completed experiment and return its report; a run that was broken off is gone on with.

    Phase 1 opens at the file's first time, else at 00:00 UTC of `start`, and ends when every window has matured.

    Args:
        path: CSV with a header, gzip when its name ends in .gz.
        slug: of the new experiment, path-safe.
        control: the control's name in the variant column.
        now: aware; nothing may lie after it.
        form: the columns.
        name: shown to people; the slug when blank.
        start: the day of all exposures, for files without times.
        window_days: the attribution window.
        progress: told how many bytes of the file are checked, then stored.

    Raises:
        UnreadableFile: no such file, a missing column, an unreadable line, or no control or test in it.
        AlreadyImported: the slug is taken.
        InvalidExperiment: the slug or the variants' names cannot be used.
    """
    outline = read_outline(path, form, progress)
    if control not in outline.variants or len(outline.variants) < 2:
        raise UnreadableFile(f"{path} needs the control {control!r} and another variant; it has {_listed(outline)}.")
    opened_at, finished_at = _span(path, outline, start, window_days)
    if finished_at > now:
        raise UnreadableFile(f"{path}: its last windows end at {finished_at:%Y-%m-%d %H:%M} UTC; import it then.")
    experiment = _running(slug) or _adopt(_spec(outline, slug, name, control, window_days, form), form, opened_at, now)
    stored = _store(path, form, experiment, opened_at, finished_at, progress)
    aggregate_experiments([experiment.pk], now=finished_at)
    experiment = lifecycle.complete(experiment.pk, actor=ACTOR, now=finished_at, reason=f"imported from {path.name}")
    units = {_key(value): count for value, count in outline.variants.items()}
    return ExperimentImportResult(
        experiment, units, stored["outcomes"], stored["mixed"], analyze(experiment, now=finished_at)
    )


def _span(path: Path, outline: Outline, start: date | None, window_days: int) -> tuple[datetime, datetime]:
    midnight = datetime.combine(start, time(), UTC) if start else None
    opened_at = outline.first_at or midnight
    if opened_at is None:
        raise UnreadableFile(f"{path} has no times: name its time column, or the day it started.")
    last_day = datetime.combine((outline.last_at or opened_at).astimezone(UTC).date(), time(), UTC)
    return opened_at, last_day + timedelta(days=window_days) + MATURING


def _running(slug: str) -> Experiment | None:
    known = Experiment.objects.select_related("current_phase").filter(slug=slug).first()
    if known is None:
        return None
    is_import = known.current_phase is not None and known.current_phase.origin == PhaseOrigin.IMPORTED
    if not is_import or known.status != ExperimentStatus.RUNNING:
        raise AlreadyImported(f"There is an experiment {slug!r} already; choose another slug.")
    return known


def _spec(
    outline: Outline, slug: str, name: str, control: str, window_days: int, form: ExperimentFormat
) -> ExperimentSpec:
    names = [control, *sorted(outline.variants.keys() - {control})]
    return ExperimentSpec(
        slug=slug,
        name=name or slug,
        variants=tuple(VariantSpec(key=_key(own), name=own, weight=1, is_control=own == control) for own in names),
        attribution_window_days=window_days,
        primary_metric=(PrimaryMetric.REVENUE if form.revenue_column else PrimaryMetric.CONVERSION).value,
    )


def _adopt(spec: ExperimentSpec, form: ExperimentFormat, opened_at: datetime, now: datetime) -> Experiment:
    draft = create_draft(spec, actor=ACTOR, now=now)
    experiment = lifecycle.adopt(draft.pk, origin=PhaseOrigin.IMPORTED, actor=ACTOR, now=opened_at)
    if form.revenue_column:
        # No bundle tells the phase its currency; the file's caller does.
        experiment.phases.update(currency=form.currency)
    return experiment


def _store(
    path: Path,
    form: ExperimentFormat,
    experiment: Experiment,
    opened_at: datetime,
    finished_at: datetime,
    tell: Progress,
) -> Counter[str]:
    stored: Counter[str] = Counter()
    rows = read_rows(path, form, "storing", tell)
    while batch := list(islice(rows, BATCH)):
        exposures = [_exposure(experiment.slug, row, opened_at) for row in batch]
        orders = [_order(experiment.slug, row, opened_at, form) for row in batch if row.is_success]
        _require_stored(path, record_exposures(exposures, now=finished_at, check_lateness=False))
        _require_stored(path, record_orders(orders, now=finished_at, check_lateness=False))
        stored["outcomes"] += len(orders)
    stored["mixed"] = Exposure.objects.filter(phase=experiment.current_phase, is_mixed=True).count()
    return stored


def _exposure(slug: str, row: UnitRow, opened_at: datetime) -> ExposureEvent:
    return ExposureEvent(slug, row.unit, _key(row.variant), row.exposed_at or opened_at, phase=1)


def _order(slug: str, row: UnitRow, opened_at: datetime, form: ExperimentFormat) -> OrderEvent:
    # The reference holds the line, never the unit: raw unit ids are not stored.
    return OrderEvent(
        order_ref=f"{slug}:{row.line}",
        placed_at=row.exposed_at or opened_at,
        currency=form.currency,
        lines=(OrderLine(f"{slug}-outcome", 1, row.revenue_minor),),
        unit_id=row.unit,
        source=SOURCE,
    )


def _require_stored(path: Path, results: tuple[ItemResult, ...]) -> None:
    for result in results:
        if result.outcome in ("rejected", "conflict"):
            raise UnreadableFile(f"{path}: {result.detail}")


def _key(value: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")


def _listed(outline: Outline) -> str:
    return ", ".join(repr(value) for value in sorted(outline.variants)) or "no lines"
