"""Try the measuring on past visitors now."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import datetime
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.canary import calibrate
from catalog_experiments.management.progress import progress_bars
from catalog_experiments.models import CalibrationRun, JobOutcome
from catalog_experiments.progress import Progress
from catalog_experiments.scheduling import CALIBRATION, Work, run_now
from catalog_experiments.scheduling.runs import calibration_counts
from catalog_experiments.stats.canary import FEWEST_BUYERS, FEWEST_DRAWN, RED_REJECTIONS

EXAMPLES = """
Example:
  manage.py run_calibration

The visitors of the last 28 days are split into two random halves, 200 times, and the halves compared. Of sound data 10
splits differ by chance; 24 and more turn the A/A canary red, and every experiment's verdicts hold. The weekly job does
the same.
"""


class Command(BaseCommand):
    help = "Split past visitors at random 200 times; too many differences say that the measuring is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES

    def handle(self, *args: Any, **options: Any) -> None:
        """Write what the splits came to; exit 1 when it is red."""
        with progress_bars(verbosity=options["verbosity"]) as tell:
            run = _noted(tell)
        drawn = f"{run.unit_count:,} visitors, {run.buyer_count:,} of them bought"
        if run.rejection_count is None:
            self.stdout.write(f"no verdict: {drawn}; it takes {FEWEST_DRAWN} and {FEWEST_BUYERS}")
            return
        told = f"{run.rejection_count} of {run.split_count} splits differ: {drawn}"
        if run.is_red:
            raise CommandError(f"red: {told}; {RED_REJECTIONS} and more are no chance", returncode=1)
        self.stdout.write(f"clean: {told}")


def _noted(tell: Progress) -> CalibrationRun:
    """Run as the weekly job would, so that the ledger knows of it and no two run at once."""
    runs: list[CalibrationRun] = []

    def work(*, now: datetime, **_: object) -> Work:
        runs.append(calibrate(now=now, progress=partial(tell, "splits")))
        return Work(calibration_counts(runs[0]))

    result = run_now(CALIBRATION, now=timezone.now(), trigger="command", work=work)
    if result.outcome != JobOutcome.DONE:
        raise CommandError(f"The calibration did not run: {result.reason}.")
    return runs[0]
