"""The interval loop of the guardrails, for a site whose scheduler is off."""

from __future__ import annotations

import signal
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from catalog_experiments.enforcement import BundleExperimentGuardrailWorker, TickResult
from catalog_experiments.scheduling import GUARDRAILS, is_switched_on, run_now


class Command(BaseCommand):
    help = "Judge all running experiments every BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then exit")
        parser.add_argument("--interval-seconds", type=float, help="instead of the setting")

    def handle(self, *args: Any, **options: Any) -> None:
        """Judge round after round; a signal lets the round at hand end first."""
        interval = options["interval_seconds"]
        if interval is not None and not interval >= 1:
            raise CommandError(f"--interval-seconds must be at least 1, not {interval:g}.")
        worker = BundleExperimentGuardrailWorker(interval, tick=self.tick)
        if options["once"]:
            worker.run_once()
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        if settings.CATALOG_JOB_SCHEDULER_ENABLED:
            self.stderr.write("The scheduler runs the guardrails too; this loop is for a site without it.")
        self.stdout.write(f"judging every {worker.interval_seconds:g} s")
        worker.run_forever()

    def tick(self, now: datetime) -> TickResult:
        """Judge one round through the ledger, so that health pages see it; without the switch do nothing."""
        if not is_switched_on(GUARDRAILS):
            self.write(now, {"evaluated": 0, "skipped": True})
            return TickResult(0, 0, 0)
        result = run_now(GUARDRAILS, now=now, trigger="loop")
        self.write(now, dict(result.counts) or {"evaluated": 0, result.outcome: True, "reason": result.reason})
        counts = {name: result.counts.get(name, 0) for name in ("evaluated", "paused", "alerts")}
        return TickResult(**counts, errors=tuple(result.counts.get("errors", ())))

    def write(self, now: datetime, outcome: dict[str, Any]) -> None:
        """Write a line that stands in the log at once: the shop's time and what the round came to."""
        told = ", ".join(f"{name} {value}" for name, value in outcome.items())
        self.stdout.write(f"{timezone.localtime(now):%Y-%m-%d %H:%M:%S} {told}")
        self.stdout.flush()
