"""Jobs as a schedule has them: when each is owed, with what arguments, patience and switch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from catalog_experiments.scheduling.cron import Cron

SWEEP_CRON = "*/5 * * * *"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a slot is tried and how long to wait between: delays and jitter in seconds, a cap of 0 is none."""

    max_attempts: int = 1
    base_backoff_seconds: float = 5
    backoff_multiplier: float = 2
    max_backoff_seconds: float = 60
    jitter_seconds: float = 1

    def delay_seconds(self, attempts: int, chance: float) -> float:
        """Return the wait after that many attempts; `chance` in [0, 1) is the share of the jitter.

        >>> RetryPolicy(3, 60, 2, 100, 10).delay_seconds(2, 0.5)
        105.0
        """
        delay = self.base_backoff_seconds * self.backoff_multiplier ** (attempts - 1)
        if self.max_backoff_seconds:
            delay = min(delay, self.max_backoff_seconds)
        return delay + chance * self.jitter_seconds


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job as the file has it; `task` is our own name, never an alias.

    `expires_seconds` is how long a call may wait in the broker before it is dropped. An empty `queue` leaves the
    choice to the routes, an empty `enabled_setting` follows the scheduler's switch alone.
    """

    id: str
    task: str
    cron: Cron
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    retry: RetryPolicy = RetryPolicy()
    expires_seconds: int = 0
    enabled_setting: str = ""
    queue: str = ""

    @property
    def is_enabled(self) -> bool:
        """Say whether the switches let the job run: the scheduler's and its own."""
        own = getattr(settings, self.enabled_setting) if self.enabled_setting else True
        return bool(settings.CATALOG_JOB_SCHEDULER_ENABLED and own)

    @property
    def beat_cron(self) -> Cron:
        """When beat knocks: at the job's own slots, or every five minutes for a job with a fixed hour.

        Beat may miss a fixed hour that passed while it was away; knocking often, the ledger decides what is owed.
        """
        return Cron(SWEEP_CRON, self.cron.zone) if self.cron.has_fixed_hour else self.cron

    def row_fields(self) -> dict[str, Any]:
        """Return what the scheduler's row holds, as plain JSON values."""
        return {
            "task": self.task,
            "cron": self.beat_cron.expression,
            "timezone": self.cron.zone.key,
            "kwargs": dict(self.kwargs),
            "queue": self.queue,
            "expires_seconds": min(self.expires_seconds, self.beat_cron.shortest_gap_seconds),
            "enabled": self.is_enabled,
        }

    def ledger_fields(self) -> dict[str, Any]:
        """Return what the ledger needs and the scheduler's row cannot hold, as plain JSON values."""
        return {"slots": self.cron.expression, **asdict(self.retry)}

    @property
    def file_hash(self) -> str:
        """SHA-256 of everything the file and the switches say of the job."""
        canonical = json.dumps({**self.row_fields(), **self.ledger_fields()}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Schedule:
    """All jobs of one file, in its order."""

    path: Path
    jobs: tuple[JobSpec, ...]
