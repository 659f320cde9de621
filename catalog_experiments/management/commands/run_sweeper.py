"""The guarantee behind the scheduler: a plain loop without broker that does what the database says is owed.

It sends due alerts, works owed slots, and looks whether the storefront serves what was published.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections, connection
from django.utils import timezone

from catalog_experiments.confirmation import confirm_due
from catalog_experiments.scheduling import run_owed
from notifications.delivery import deliver_due

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
JOB_STATEMENT_TIMEOUT = "120s"
LAST_RUN_SECONDS = 25.0
"""How long a job that is running at SIGTERM may take; after that its lease ends and another process takes over."""


class Command(BaseCommand):
    help = (
        "Send due alerts, work owed slots and confirm what the storefront serves, every 5 seconds, with or without a "
        "broker, until SIGTERM or Ctrl-C."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stopping = threading.Event()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one sweep, then exit; errors are raised")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep until told to stop; a job at work then has `LAST_RUN_SECONDS` to end."""
        if options["once"]:
            self.work_owed()
            self.confirm()
            self.deliver()
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        # Jobs may take minutes and a storefront may hang; alerts wait for nobody.
        jobs = self.beside(self.work_owed, "owed slots")
        self.beside(self.confirm, "confirmations")
        self.stdout.write(f"sweeping every {SWEEP_SECONDS:g} s")
        self.stdout.flush()
        self.repeat(self.deliver)
        jobs.join(LAST_RUN_SECONDS)

    def beside(self, sweep: Callable[[], None], name: str) -> threading.Thread:
        """Repeat a sweep in a thread of its own."""
        thread = threading.Thread(target=self.repeat, args=(sweep,), name=name, daemon=True)
        thread.start()
        return thread

    def repeat(self, sweep: Callable[[], None]) -> None:
        """Sweep until told to stop; a database that restarts is a sweep that failed."""
        while not self.stopping.is_set():
            close_old_connections()
            try:
                sweep()
            except Exception:
                logger.exception("a sweep failed; the next one comes in %g s", SWEEP_SECONDS)
                connection.close()
            self.stopping.wait(SWEEP_SECONDS)
        connection.close()

    def deliver(self) -> None:
        """Send the alerts that are due."""
        deliver_due(now=timezone.now())

    def confirm(self) -> None:
        """Look whether visitors get what was published."""
        confirm_due(now=timezone.now())

    def work_owed(self) -> None:
        """Work the slots that nobody worked in time."""
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = '{JOB_STATEMENT_TIMEOUT}'")
        for result in run_owed(now=timezone.now()):
            if not result.is_skipped:
                logger.info("swept job %s: %s", result.job, result.outcome)
