"""Recompute every recorded guardrail decision from its own record."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog_experiments.enforcement import verify_chain

BAR_WIDTH = 30


class Command(BaseCommand):
    help = "Recompute every verdict from its record and every link of the chain; exit 1 at the first difference."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many records hold; at the first that does not, exit 1 and name it."""
        shows_progress = options["verbosity"] > 0 and self.stderr.isatty()
        result = verify_chain(progress=self.show if shows_progress else None)
        if result.first_difference:
            raise CommandError(f"{result.checked} records hold; {result.first_difference}", returncode=1)
        self.stdout.write(f"{result.checked} records: every verdict recomputed, the chain is whole")

    def show(self, done: int, total: int) -> None:
        """Draw the bar anew every fifty records and at the end."""
        if done % 50 and done != total:
            return
        filled = BAR_WIDTH * done // max(1, total)
        ending = "\n" if done == total else ""
        self.stderr.write(f"\r[{'#' * filled}{' ' * (BAR_WIDTH - filled)}] {done}/{total}", ending=ending)
