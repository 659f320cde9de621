"""Bring the scheduler's rows in line with the schedule file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalog_experiments.scheduling import InvalidSchedule, SyncResult, sync_schedules


class Command(BaseCommand):
    help = "Write the jobs of the schedule file into the scheduler's tables; edits made in the admin are kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", type=Path, help="instead of CATALOG_JOB_SCHEDULE_PATH")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, write nothing")
        parser.add_argument("--force", action="store_true", help="let the file win over every edit in the admin")
        parser.add_argument("--prune", action="store_true", help="delete jobs that the file does not have any more")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the jobs; a file that is not valid exits 2 and changes nothing."""
        path = options["file"] or Path(settings.CATALOG_JOB_SCHEDULE_PATH)
        choices = {name: options[name] for name in ("dry_run", "force", "prune")}
        try:
            result = sync_schedules(path, now=timezone.now(), **choices)
        except InvalidSchedule as error:
            raise CommandError(str(error), returncode=2) from error
        if options["verbosity"] or result.kept:
            self.tell(result, dry_run=options["dry_run"])

    def tell(self, result: SyncResult, *, dry_run: bool) -> None:
        """Count what changed; what differs from the file goes to standard error, with the option that settles it."""
        counted = {
            "created": result.created,
            "updated": result.updated,
            "unchanged": result.unchanged,
            "pruned": result.pruned,
        }
        summary = ", ".join(f"{len(jobs)} {name}" for name, jobs in counted.items())
        self.stdout.write(f"{summary}{' (dry run: nothing written)' if dry_run else ''}")
        for sentence in result.kept:
            self.stderr.write(f"kept: {sentence}. `--force` takes the file's.")
        for job in result.orphaned:
            self.stderr.write(f"{job}: not in the file any more and still scheduled. `--prune` deletes it.")
        if not settings.CATALOG_JOB_SCHEDULER_ENABLED:
            self.stderr.write("CATALOG_JOB_SCHEDULER_ENABLED is off: the jobs are stored, and none runs.")
