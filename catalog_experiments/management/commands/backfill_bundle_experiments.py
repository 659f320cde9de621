"""Reconstruct the metric rows of past days."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.aggregation import BackfillResult, Guard, InvalidLookback, backfill
from catalog_experiments.aggregation.runs import require_lookback
from catalog_experiments.management.progress import progress_bars
from catalog_experiments.models import Experiment, JobOutcome
from catalog_experiments.scheduling import BACKFILL, Work, run_now

EXAMPLES = """
Examples:
  manage.py backfill_bundle_experiments --dry-run
  manage.py backfill_bundle_experiments --lookback-days 90 --slug cup-saucer

Each past day is counted from the orders and exposures, as its last run would have written it. Rows that are right
stay untouched: a second run changes nothing.
"""


class Command(BaseCommand):
    help = "Reconstruct each past day's metric rows of bundle experiments from facts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("--lookback-days", type=int, default=30, help="days back from today, default 30")
        parser.add_argument("--slug", help="one experiment only")
        parser.add_argument("--dry-run", action="store_true", help="compare and print, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count the rows created, changed and unchanged; a whole backfill stands in the ledger like the nightly one."""
        slug, dry_run = options["slug"], options["dry_run"]
        if slug is not None and not Experiment.objects.filter(slug=slug).exists():
            raise CommandError(f"There is no experiment {slug!r}.")
        try:
            require_lookback(options["lookback_days"])
        except InvalidLookback as error:
            raise CommandError(str(error)) from error
        with progress_bars(verbosity=options["verbosity"]) as tell:
            fill = partial(
                backfill,
                lookback_days=options["lookback_days"],
                slug=slug,
                dry_run=dry_run,
                progress=partial(tell, "phases"),
            )
            result = fill(now=timezone.now()) if dry_run or slug is not None else _noted(fill)
        for line in result.diffs if dry_run or options["verbosity"] > 1 else ():
            self.stdout.write(line)
        self.stdout.write(
            f"{'dry run, nothing written: ' if dry_run else ''}{result.created} created, {result.changed} changed, "
            f"{result.unchanged} unchanged over {options['lookback_days']} days"
        )
        if result.retired:
            self.stdout.write(f"{result.retired} phases skipped: their facts were retired, their rows stand")


def _noted(fill: Callable[..., BackfillResult]) -> BackfillResult:
    """Run the whole backfill as the nightly job would, so that the ledger and the launch checklist know of it."""
    results: list[BackfillResult] = []

    def work(*, now: datetime, guard: Guard, **_: object) -> Work:
        result = fill(now=now, guard=guard)
        results.append(result)
        return Work({"created": result.created, "changed": result.changed, "unchanged": result.unchanged})

    run = run_now(BACKFILL, now=timezone.now(), trigger="command", work=work)
    if run.outcome != JobOutcome.DONE:
        raise CommandError(f"The backfill did not run: {run.reason}.")
    return results[0]
