"""Let the facts go that have had their time."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.management.progress import progress_bars
from catalog_experiments.models import JobOutcome
from catalog_experiments.progress import Progress
from catalog_experiments.retention import RetentionReport, RetentionRules, plan, retire
from catalog_experiments.scheduling import RETENTION, Work, run_now

EXAMPLES = """
Examples:
  manage.py retire_telemetry --dry-run
  manage.py retire_telemetry

Exposures leave by phase, TELEMETRY_EXPOSURE_RETENTION_DAYS after it closed and never before its windows and refunds are
complete; orders by their age, TELEMETRY_ORDER_RETENTION_DAYS. What was summed from them stays. Batches commit: run it
again after a kill. The nightly job does the same.
"""
UNITS = ("B", "kB", "MB", "GB", "TB")


class Command(BaseCommand):
    help = "Remove exposures of phases long closed, and old orders; moments, metrics and events stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("--dry-run", action="store_true", help="print rows and bytes, remove nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write rows and bytes that left, or would; what leaves goes through the ledger as in the nightly run."""
        if options["dry_run"]:
            report = plan(rules=RetentionRules.in_force(), now=timezone.now())
        else:
            with progress_bars(verbosity=options["verbosity"]) as tell:
                report = _noted(tell)
        for line in _lines(report, verb="would be removed" if options["dry_run"] else "removed"):
            self.stdout.write(line)
        if options["dry_run"]:
            self.stdout.write("dry run, nothing removed")


def _noted(tell: Progress) -> RetentionReport:
    """Run as the nightly job would, so that the ledger knows of it and no two run at once."""
    reports: list[RetentionReport] = []

    def work(*, now: datetime, **_: object) -> Work:
        reports.append(retire(rules=RetentionRules.in_force(), now=now, progress=tell))
        return Work(reports[0].counts())

    run = run_now(RETENTION, now=timezone.now(), trigger="command", work=work)
    if run.outcome != JobOutcome.DONE:
        raise CommandError(f"Retention did not run: {run.reason}.")
    return reports[0]


def _lines(report: RetentionReport, *, verb: str) -> Iterator[str]:
    for facts in report.phases:
        manner = "whole partition" if facts.is_whole else "rows"
        yield (
            f"{facts.experiment} phase {facts.phase}: {facts.rows:,} exposures, {readable(facts.size_bytes)} "
            f"({manner} of {facts.partition})"
        )
    exposures_bytes = report.size_bytes - report.orders.size_bytes
    yield f"exposures: {report.exposures:,} {verb}, {readable(exposures_bytes)}"
    yield _orders_line(report, verb)
    for partition in report.busy:
        yield f"{partition}: held by others all the time; the next run tries again"


def _orders_line(report: RetentionReport, verb: str) -> str:
    orders = report.orders
    if orders.before_at is None:
        return "orders: kept, TELEMETRY_ORDER_RETENTION_DAYS is 0"
    held = f", no later because {orders.held_back_by} still counts them" if orders.held_back_by else ""
    return (
        f"orders: {orders.orders:,} with {orders.outcomes:,} outcomes {verb}, {readable(orders.size_bytes)}, placed "
        f"before {orders.before_at:%Y-%m-%d %H:%M} UTC{held}"
    )


def readable(size_bytes: float) -> str:
    """Return a size for people, in powers of 1,000.

    >>> readable(0), readable(999), readable(1_234_567)
    ('0 B', '999 B', '1.2 MB')
    """
    for unit in UNITS:
        if size_bytes < 1000 or unit == UNITS[-1]:
            break
        size_bytes /= 1000
    return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
