"""Make the deterministic QA experiment, or put it back to its numbers."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import MaxLengthValidator
from django.utils import timezone

from catalog_experiments.models.fields import PATH_SAFE_SLUG
from catalog_experiments.seeding import QA_SLUG, NotSeeded
from storefront.qa import seed_qa


class Command(BaseCommand):
    help = "Seed the QA experiment with fixed numbers; aggregation and guardrails leave it alone. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--slug", default=QA_SLUG, help=f"slug of the experiment, default {QA_SLUG}")
        parser.add_argument("--dry-run", action="store_true", help="do everything, then roll back")

    def handle(self, **options: Any) -> None:
        """Write what was made, one fact a line; an experiment of that slug that is not seeded is refused."""
        slug = options["slug"]
        try:
            PATH_SAFE_SLUG(slug)
            MaxLengthValidator(140)(slug)
        except ValidationError as refused:
            raise CommandError(f"--slug {slug[:50]!r}: {' '.join(refused.messages)}") from refused
        try:
            result = seed_qa(slug, now=timezone.now(), dry_run=options["dry_run"])
        except NotSeeded as foreign:
            raise CommandError(str(foreign)) from foreign
        self.stdout.write(f"experiment: {result.experiment} ({'put back' if result.was_there else 'made'})")
        self.stdout.write(f"control_bundle: {result.control_bundle}")
        self.stdout.write(f"variant_bundle: {result.variant_bundle}")
        self.stdout.write(f"dry_run: {str(result.dry_run).lower()}{', nothing was kept' if result.dry_run else ''}")
