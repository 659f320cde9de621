"""Reconstruct the metric rows of past days."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.aggregation import InvalidLookback, backfill
from catalog_experiments.management.progress import progress_bars
from catalog_experiments.models import Experiment

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
        slug, dry_run = options["slug"], options["dry_run"]
        if slug is not None and not Experiment.objects.filter(slug=slug).exists():
            raise CommandError(f"There is no experiment {slug!r}.")
        try:
            with progress_bars(verbosity=options["verbosity"]) as tell:
                result = backfill(
                    lookback_days=options["lookback_days"],
                    now=timezone.now(),
                    slug=slug,
                    dry_run=dry_run,
                    progress=partial(tell, "phases"),
                )
        except InvalidLookback as error:
            raise CommandError(str(error)) from error
        for line in result.diffs if dry_run or options["verbosity"] > 1 else ():
            self.stdout.write(line)
        self.stdout.write(
            f"{'dry run, nothing written: ' if dry_run else ''}{result.created} created, {result.changed} changed, "
            f"{result.unchanged} unchanged over {options['lookback_days']} days"
        )
