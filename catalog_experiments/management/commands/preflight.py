"""Print the launch checklist of an experiment, for people or for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalog_experiments.preflight import Check, failures
from catalog_experiments.service import CatalogExperimentService, ExperimentNotFound


class Command(BaseCommand):
    help = "Print the launch checklist of an experiment. Example: manage.py preflight cup-saucer --format json"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the experiment")
        parser.add_argument("--format", choices=["text", "json"], default="text", help="for people or for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run and print every check; the exit code is 1 when one fails."""
        service = CatalogExperimentService(actor="system:preflight")
        try:
            checks = service.preflight(options["slug"], now=timezone.now())
        except ExperimentNotFound as unknown:
            raise CommandError(str(unknown)) from unknown
        self.stdout.write(_as_json(checks) if options["format"] == "json" else _as_text(checks))
        if failed := failures(checks):
            raise CommandError(f"{len(failed)} of {len(checks)} checks fail.", returncode=1)


def _as_json(checks: tuple[Check, ...]) -> str:
    return json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False)


def _as_text(checks: tuple[Check, ...]) -> str:
    width = max(len(check.code) for check in checks)
    return "\n".join(f"{check.outcome:4}  {check.code:{width}}  {check.sentence}" for check in checks)
