"""Receive alerts on this machine and show them on a page, in place of Slack and a mail server."""

from __future__ import annotations

import signal
import threading
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from notifications.inbox import Inbox, running_inbox


class Command(BaseCommand):
    help = "Receive alerts by SMTP and HTTP on this machine only, and show them at http://127.0.0.1:<http-port>/."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--smtp-port", type=int, required=True, help="port for mail")
        parser.add_argument("--http-port", type=int, required=True, help="port for the page, /slack and /webhook")

    def handle(self, *args: Any, **options: Any) -> None:
        """Listen until SIGTERM or Ctrl-C; a port that is taken exits 1."""
        inbox = Inbox(settings.STATE_DIR / "inbox")
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        ports = {"smtp_port": options["smtp_port"], "http_port": options["http_port"]}
        try:
            with running_inbox(inbox, **ports, zone=ZoneInfo(settings.CATALOG_SHOP_TIME_ZONE)):
                self.stdout.write(f"inbox at http://127.0.0.1:{ports['http_port']}/, mail on port {ports['smtp_port']}")
                self.stdout.flush()
                ended.wait()
        except OSError as error:
            raise CommandError(f"The inbox could not listen: {error}") from error
