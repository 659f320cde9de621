"""The interval loop for a site without scheduler: evaluate, wait, evaluate."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from catalog_experiments.enforcement.rounds import TickResult, evaluate_due

logger = logging.getLogger(__name__)

Tick = Callable[[datetime], TickResult]


def _tick(now: datetime) -> TickResult:
    result = evaluate_due(now=now, trigger="loop")
    logger.info("guardrails: %d evaluated, %d paused", result.evaluated, result.paused)
    return result


class BundleExperimentGuardrailWorker:
    """Evaluates all running experiments again and again, until it is told to stop.

    Args:
        interval_seconds: pause between the beginnings of two rounds; None takes the setting.
        tick: one round, which tells itself what it came to; the default judges without a ledger and logs a line.
    """

    def __init__(self, interval_seconds: float | None = None, *, tick: Tick = _tick) -> None:
        self.interval_seconds = interval_seconds or settings.BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS
        self._tick = tick
        self._stopping = threading.Event()

    def run_once(self, *, now: datetime | None = None) -> TickResult:
        """Evaluate all running experiments once; None reads the clock."""
        return self._tick(now or timezone.now())

    def run_forever(self) -> None:
        """Evaluate at every interval until `stop`; a round that fails is logged and the next one comes."""
        while not self._stopping.is_set():
            started = timezone.now()
            self._run_safely(started)
            elapsed = (timezone.now() - started).total_seconds()
            self._stopping.wait(max(0.0, self.interval_seconds - elapsed))

    def stop(self) -> None:
        """End the loop after the round that is running; may be called from a signal handler or another thread."""
        self._stopping.set()

    def _run_safely(self, now: datetime) -> None:
        close_old_connections()
        try:
            self.run_once(now=now)
        except Exception:  # the database may be restarting: the loop outlives it
            logger.exception("a guardrail round failed; the next one comes in %s s", self.interval_seconds)
        finally:
            close_old_connections()
