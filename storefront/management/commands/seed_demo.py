"""Fill the demo shop and publish its experiments."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from storefront.demo import seed_demo


class Command(BaseCommand):
    help = "Make the demo shop Kiln & Kettle with its bundles and experiments; run again, it changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--owner", default=None, help="user name of the experiments' owner")

    def handle(self, **options: Any) -> None:
        """Write what was made and what stood there already."""
        result = seed_demo(now=timezone.now(), owner_username=options["owner"])
        self.stdout.write(f"products made: {result.products}")
        self.stdout.write(f"bundles made: {result.bundles}")
        self.stdout.write(f"experiments made: {', '.join(result.experiments) or 'none'}")
        self.stdout.write(f"left as they are: {', '.join(result.kept) or 'none'}")
