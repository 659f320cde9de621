"""Write the fixture files for QA from the code that seeds."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from storefront.qa import stale_fixtures, write_fixtures


class Command(BaseCommand):
    help = "Write fixtures/qa_*.json; load one with `manage.py loaddata qa_products qa_catalog`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is out of date")

    def handle(self, **options: Any) -> None:
        """Name the files written; with --check exit 1 and name those out of date."""
        folder = Path(settings.BASE_DIR) / "fixtures"
        if options["check"]:
            if stale := stale_fixtures(folder):
                raise CommandError(f"out of date, run write_qa_fixtures: {', '.join(stale)}")
            self.stdout.write("up to date")
            return
        self.stdout.write(f"written: {', '.join(write_fixtures(folder)) or 'nothing, all up to date'}")
