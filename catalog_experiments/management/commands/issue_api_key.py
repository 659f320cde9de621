"""Issue a key for the HTTP API and print its secret once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalog_experiments.access import InvalidKeyRequest, Scope, issue_key
from catalog_experiments.models import ApiKey


class Command(BaseCommand):
    help = "Issue a key for the HTTP API and print its secret, which can't be read again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Who will use the key; it names the actor of every change made with it.")
        parser.add_argument(
            "--kind",
            choices=ApiKey.Kind.values,
            default=ApiKey.Kind.SERVER.value,
            help="client: public, may only ask for decisions and send exposures.",
        )
        parser.add_argument(
            "--scope",
            action="append",
            choices=[*map(str, Scope)],
            default=[],
            help="Once for each scope of a server key.",
        )
        parser.add_argument("--expires-in-days", type=int, help="Without it the key is valid until revoked.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the secret alone to standard output, so that it can be piped, and the rest to standard error."""
        days = options["expires_in_days"]
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--expires-in-days must be from 1 to 36500.")
        if options["kind"] == ApiKey.Kind.CLIENT and options["scope"]:
            raise CommandError("A client key is public and has its one scope already; leave --scope out.")
        expires_at = timezone.now() + timedelta(days=days) if days else None
        try:
            issued = issue_key(options["name"], kind=options["kind"], scopes=options["scope"], expires_at=expires_at)
        except InvalidKeyRequest as refused:
            raise CommandError(str(refused)) from refused
        self.stderr.write(f"Key {issued.key.name!r}, scopes {', '.join(issued.key.scopes)}. Shown this once:")
        self.stdout.write(issued.secret)
