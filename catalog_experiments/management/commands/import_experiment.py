"""Replay a finished experiment from a file and print its report."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.analysis import MetricReport, Report, VariantReport
from catalog_experiments.csv_files import UnreadableFile
from catalog_experiments.drafting import InvalidExperiment
from catalog_experiments.experiment_import import AlreadyImported, ExperimentFormat, import_experiment
from catalog_experiments.management.progress import progress_bars
from catalog_experiments.models import MomentMetric

MONEY = (MomentMetric.REVENUE, MomentMetric.MARGIN)
HIDDEN = (MomentMetric.TAKE_RATE, MomentMetric.HARM)
"""A file says nothing of bundles, nor of the hours after an exposure."""

EXAMPLES = """
Example:
  manage.py import_experiment mailing.csv.gz --slug spring-mailing --control "No E-Mail" --start 2026-01-05 \\
      --unit-column customer --variant-column segment --outcome-column bought --revenue-column spend --currency USD

The file has a header and one line per unit. Its times open and close the experiment; without them --start does.
"""


class Command(BaseCommand):
    help = "Import a finished experiment from a CSV file (.gz too): its units as exposures, its outcomes as orders."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("file", type=Path)
        parser.add_argument("--slug", required=True, help="slug of the new experiment")
        parser.add_argument("--name", default="", help="its name, the slug when left out")
        parser.add_argument("--control", required=True, help="the control's name in the variant column")
        parser.add_argument("--unit-column", default="unit", help="column of the unit's id; '' when each line is one")
        parser.add_argument("--variant-column", default="variant", help="column of the variant's name")
        parser.add_argument("--outcome-column", default="outcome", help="column of the outcome: 1 or 0")
        parser.add_argument("--revenue-column", default="", help="column of the unit's revenue, if there is one")
        parser.add_argument("--time-column", default="", help="column of the exposure's time, if there is one")
        parser.add_argument("--currency", default="EUR", help="ISO currency of the revenue")
        parser.add_argument("--delimiter", default=",", help="what separates the columns")
        parser.add_argument("--start", type=_day, help="day of all exposures, for files without times")
        parser.add_argument("--window-days", type=int, default=7, help="attribution window, default 7")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write what was stored and the final report; every line is read once before the first is stored."""
        columns = ("unit_column", "variant_column", "outcome_column", "revenue_column", "time_column")
        form = ExperimentFormat(**{name: options[name] for name in (*columns, "currency", "delimiter")})
        try:
            with progress_bars(verbosity=options["verbosity"]) as tell:
                result = import_experiment(
                    options["file"],
                    slug=options["slug"],
                    name=options["name"],
                    control=options["control"],
                    start=options["start"],
                    window_days=options["window_days"],
                    form=form,
                    now=timezone.now(),
                    progress=tell,
                )
        except (UnreadableFile, AlreadyImported, InvalidExperiment) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{result.experiment.slug}: {sum(result.units.values()):,} units, {result.outcomes:,} outcomes, "
            f"{result.mixed_units:,} units in two variants"
        )
        for line in report_lines(result.report):
            self.stdout.write(line)


def _day(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise ArgumentTypeError(f"{given!r} is no day; write it like 2026-01-05") from error


def report_lines(report: Report) -> Iterator[str]:
    """Yield the report for people, one line a variant and metric, test variants against the control."""
    for variant in report.variants:
        yield f"{variant.name}: {variant.exposed_count:,} units{' (control)' if variant.is_control else ''}"
        yield from (
            f"  {_metric_line(metric, report, variant)}" for metric in variant.metrics if metric.metric not in HIDDEN
        )
    if report.srm is not None:
        verdict = "not as planned" if report.srm.is_mismatch else "as planned"
        yield f"sample ratio: {verdict}, p = {report.srm.p_value:.3g}"
    yield from (f"note: {note}" for note in report.notes)


def _metric_line(metric: MetricReport, report: Report, variant: VariantReport) -> str:
    money = metric.metric in MONEY
    parts = [f"{metric.metric} {_figure(metric.mean, money=money, currency=report.currency)}"]
    if not variant.is_control:
        parts.append(f"difference {_figure(metric.difference, money=money, currency=report.currency, signed=True)}")
        if metric.interval is not None:
            ends = (metric.interval.lower, metric.interval.upper)
            parts.append("95 % from " + " to ".join(_figure(e, money=money, currency=report.currency) for e in ends))
        if metric.standard_error is not None and money:
            parts.append(f"standard error {metric.standard_error / 100:.4f}")
        if metric.z is not None and metric.p_value is not None:
            parts.append(f"z = {metric.z:.4f}, p = {metric.p_value:.3g}")
    return ", ".join(filter(None, [*parts, metric.reason]))


def _figure(value: float | None, *, money: bool, currency: str, signed: bool = False) -> str:
    if value is None:
        return "not known"
    sign = "+" if signed else ""
    return f"{value / 100:{sign}.4f} {currency}" if money else f"{100 * value:{sign}.2f} %"
