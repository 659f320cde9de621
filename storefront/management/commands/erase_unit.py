"""Forget a person, in telemetry and in the shop."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from catalog_experiments.intake import Refused
from catalog_experiments.management.progress import progress_bars
from storefront.persons import PersonErasure, erase_person, preview_erasure

EXAMPLES = """
Examples:
  manage.py erase_unit visitor-4711 --dry-run
  manage.py erase_unit customer:17850
  manage.py erase_unit --stdin --yes < ids.txt

Removes exposures, orders, aliases and baskets of the id and frees the shop's orders of it; a tombstone refuses every
later report of it as `erased`. Aggregates keep their sums. Ids that aliases join to this one are the same person and
go too; --only-this-id leaves them. Each id is one transaction; run it again after a kill. An id given by --stdin, one a
line, stays out of the shell's history.
"""
ACTOR = "system:erase_unit"


class Command(BaseCommand):
    help = "Remove everything stored of a unit (visitor or customer) and refuse it from now on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("unit_id", nargs="?", metavar="unit", help="its id, as the shop reports it")
        parser.add_argument("--stdin", action="store_true", help="read ids from standard input, one a line")
        parser.add_argument("--dry-run", action="store_true", help="print what would go, remove nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--only-this-id", action="store_true", help="leave ids that aliases join to this one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Erase, or show what would go; lines name a unit by its number alone, because output ends up in logs."""
        unit_ids = _given(options["unit_id"], is_stdin=options["stdin"])
        follow_aliases = not options["only_this_id"]
        if not options["dry_run"] and not options["yes"]:
            self.ask(unit_ids, follow_aliases=follow_aliases, is_stdin=options["stdin"])
        with progress_bars(verbosity=options["verbosity"]) as tell:
            for done, unit_id in enumerate(unit_ids, start=1):
                self.stdout.write(_line(done, _handled(unit_id, follow_aliases, is_dry=options["dry_run"])))
                tell("ids", done, len(unit_ids))
        if options["dry_run"]:
            self.stdout.write("dry run, nothing removed")

    def ask(self, unit_ids: list[str], *, follow_aliases: bool, is_stdin: bool) -> None:
        """Show what will go and let only a yes pass."""
        if is_stdin or not sys.stdin.isatty():
            raise CommandError("Nobody can be asked here; look at --dry-run first, then add --yes.")
        for number, unit_id in enumerate(unit_ids, start=1):
            self.stdout.write(_line(number, _handled(unit_id, follow_aliases, is_dry=True)))
        if input("This cannot be undone. Type yes to erase: ").strip().lower() != "yes":
            raise CommandError("Nothing was removed.")


def _given(unit_id: str | None, *, is_stdin: bool) -> list[str]:
    if (unit_id is None) != is_stdin:
        raise CommandError("Name one unit id, or give --stdin and send ids, one a line.")
    return [line for line in _lines_of_stdin() if line] if unit_id is None else [unit_id]


def _lines_of_stdin() -> Iterator[str]:
    return (line.rstrip("\r\n") for line in sys.stdin)


def _handled(unit_id: str, follow_aliases: bool, *, is_dry: bool) -> PersonErasure:
    try:
        if is_dry:
            return preview_erasure(unit_id, follow_aliases=follow_aliases)
        return erase_person(unit_id, follow_aliases=follow_aliases, actor=ACTOR, now=timezone.now())
    except Refused as refused:
        raise CommandError(str(refused)) from refused


def _line(number: int, erasure: PersonErasure) -> str:
    # By its number, never by the id: output ends up in logs.
    telemetry = erasure.telemetry
    counts = {
        "exposures": telemetry.exposures,
        "orders": telemetry.orders,
        "outcomes": telemetry.outcomes,
        "aliases": telemetry.aliases,
        "baskets": erasure.baskets,
        "shop orders freed": erasure.orders,
        "forced lists": telemetry.forced_lists,
        "documents": telemetry.documents,
    }
    found = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing stored"
    joined = f" under {telemetry.ids} ids" if telemetry.ids > 1 else ""
    erased = "; erased before" if telemetry.was_erased else ""
    named = f"; {telemetry.events} audit events name it and stay" if telemetry.events else ""
    return f"{number}: {found}{joined}{erased}{named}"
