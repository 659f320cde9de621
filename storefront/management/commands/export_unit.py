"""Show a person everything that is stored of them."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.intake import Refused
from storefront.persons import describe_person

EXAMPLES = """
Examples:
  manage.py export_unit visitor-4711
  manage.py export_unit customer:17850 --output customer-17850.json

One JSON document: exposures, orders with lines and what they said about bundles, aliases, baskets and the shop's
orders. Ids that aliases join to this one are the same person and are included; --only-this-id leaves them out.
"""


class Command(BaseCommand):
    help = "Write everything stored of a unit (visitor or customer) as one JSON document."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("unit_id", metavar="unit", help="its id, as the shop reports it")
        parser.add_argument("--output", type=Path, help="a file, readable by its owner only; without, standard output")
        parser.add_argument("--only-this-id", action="store_true", help="leave out ids that aliases join to this one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the document to standard output, or to a new file that only its owner can read."""
        try:
            document = describe_person(
                options["unit_id"], follow_aliases=not options["only_this_id"], now=timezone.now()
            )
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
        if options["output"] is None:
            self.stdout.write(text)
        else:
            _write(options["output"], text)
            self.stdout.write(f"written to {options['output']}")


def _write(path: Path, text: str) -> None:
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text + "\n")
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written: {error.strerror}. Name a new file in a folder of yours."
        ) from error
