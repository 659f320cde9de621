"""Write a made-up order history to import."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from storefront.demo.sample_orders import write_sample_orders

EXAMPLE = """
Example:
  manage.py write_sample_orders sample-orders.csv --orders 400 --seed 7
"""


class Command(BaseCommand):
    help = "Write a CSV file of made-up orders of the demo shop, ready for import_orders."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLE
        parser.add_argument("file", type=Path)
        parser.add_argument("--orders", type=int, default=400, help="how many orders (400)")
        parser.add_argument("--seed", type=int, default=7, help="the same seed makes the same orders (7)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file over whatever stood there, and say how many lines it has."""
        if options["orders"] < 1:
            raise CommandError("--orders must be at least 1.")
        try:
            lines = write_sample_orders(
                options["file"], orders=options["orders"], seed=options["seed"], now=timezone.now()
            )
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{options['orders']} orders in {lines} lines: {options['file']}")
