"""Recompute every recorded guardrail decision from its own record."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog_experiments.enforcement import verify_chain
from catalog_experiments.management.progress import progress_bars


class Command(BaseCommand):
    help = "Recompute every verdict from its record and every link of the chain; exit 1 at the first difference."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many records hold; at the first that does not, exit 1 and name it."""
        with progress_bars(verbosity=options["verbosity"]) as tell:
            result = verify_chain(progress=partial(tell, "records"))
        if result.first_difference:
            raise CommandError(f"{result.checked} records hold; {result.first_difference}", returncode=1)
        self.stdout.write(f"{result.checked} records: every verdict recomputed, the chain is whole")
