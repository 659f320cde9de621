"""Write the generated parts of docs/reference from the code."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from smplat.reference import stale_pages, write_pages


class Command(BaseCommand):
    help = "Write the tables of settings, commands, addresses and database tables in docs/reference from the code."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing, fail when a page is out of date")

    def handle(self, **options: Any) -> None:
        """Name the pages written; with --check exit 1 and name those out of date."""
        folder = Path(settings.BASE_DIR) / "docs"
        if options["check"]:
            if stale := [str(page.relative_to(folder)) for page in stale_pages(folder)]:
                raise CommandError(f"out of date, run write_reference: {', '.join(stale)}")
            self.stdout.write("up to date")
            return
        self.stdout.write(f"written: {', '.join(write_pages(folder)) or 'nothing, all up to date'}")
