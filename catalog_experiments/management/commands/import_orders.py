"""Import a file of order lines."""

from __future__ import annotations

import re
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.management.progress import progress_bars
from catalog_experiments.order_import import FORMATS, OrderFormat, OrderImportResult, UnreadableFile, import_orders

EXAMPLES = """
Examples:
  manage.py import_orders orders.csv
  manage.py import_orders lines.csv.gz --format online-retail
  manage.py import_orders sales.csv --order-ref-column Order --time-column "Paid at" --unit-column "" \\
      --sku-column SKU --quantity-column Qty --price-column Price --currency USD

The file has a header and one line per product of an order; lines of one order may stand anywhere. Run it again at
will: orders that are known stay as they are. Exact copies of a line inside an order add up and are counted.
"""
CURRENCY = re.compile("[A-Z]{3}")
HELP = {
    "order_ref_column": "column of the order's reference",
    "time_column": "column of its time, ISO 8601; UTC when it has no zone",
    "unit_column": "column of the customer or visitor; '' when there is none",
    "sku_column": "column of the product, as bundles name it",
    "quantity_column": "column of the pieces",
    "price_column": "column of the price per piece, in the currency's main unit",
    "unit_prefix": "text put before every unit, such as customer:",
    "currency": "ISO currency of the prices",
    "minor_digits": "digits after the point of a price",
    "cancellation_prefix": "references starting so take back the order named by the rest",
    "delimiter": "what separates the columns",
}


class Command(BaseCommand):
    help = "Import order lines from a CSV file (.gz too), with what each order says about each bundle."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", choices=FORMATS, default="plain", help="names of columns to start from")
        for each in fields(OrderFormat):
            if each.name in HELP:
                kind = int if each.name == "minor_digits" else str
                parser.add_argument(f"--{each.name.replace('_', '-')}", type=kind, help=HELP[each.name])
        parser.add_argument("--drop-repeated-lines", action="store_true", help="take exact copies of a line for errors")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write what was stored and left out; examples of what was refused go to standard error."""
        given = {name: options[name] for name in HELP if options[name] is not None}
        form = replace(FORMATS[options["format"]], drop_repeated_lines=options["drop_repeated_lines"], **given)
        if not CURRENCY.fullmatch(form.currency):
            raise CommandError(f"--currency {form.currency!r} must be three capital letters (ISO 4217), such as EUR.")
        try:
            with progress_bars(verbosity=options["verbosity"]) as tell:
                result = import_orders(options["file"], form=form, now=timezone.now(), progress=tell)
        except UnreadableFile as error:
            raise CommandError(str(error)) from error
        for line in _summary(result):
            self.stdout.write(line)
        for example in result.examples:
            self.stderr.write(example)
        if result.orders and result.answers.keys() == {"rejected"}:
            raise CommandError("Every order was refused, and nothing is stored; the lines above say why.")


def _summary(result: OrderImportResult) -> list[str]:
    stored = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(result.answers.items())) or "none"
    left_out = f"{result.returned_lines:,} returned, {result.free_lines:,} free, {result.unreadable_lines:,} unreadable"
    return [
        f"{result.lines:,} lines read; {result.orders:,} orders: {stored}",
        f"lines left out: {left_out}",
        f"cancellations: {result.cancellations:,}, {result.unmatched_cancellations:,} of them of no order in the file",
        f"repeated lines: {result.repeated_lines:,}; orders naming two units: {result.orders_with_many_units:,}",
    ]
