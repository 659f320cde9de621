"""Where a process may die between a guardrail's slot and its settled alert, and how to make it die there.

The registry names every step in the order in which it happens. A process that is to die runs `python -m
tests.crash_points NAME ...`: it replaces one function by one that kills the process before or after the step.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

Moment = Literal["before", "after", "after the first of"]


@dataclass(frozen=True)
class CrashPoint:
    """A step: the process dies before or after `function`, found in `module` under the name its caller uses.

    `survives` says that the pause was committed by then; `messages` is how often the alert arrives at most.
    """

    name: str
    moment: Moment
    module: str
    function: str
    survives: bool = False
    messages: int = 1


_ENFORCEMENT, _VERBS = "catalog_experiments.enforcement", "catalog_experiments.lifecycle.verbs"
CRASH_POINTS = (
    CrashPoint("slot claimed", "after", "catalog_experiments.scheduling.runs", "claim_slot"),
    CrashPoint("telemetry read", "after", f"{_ENFORCEMENT}.rounds", "load_frames"),
    CrashPoint("verdict computed", "after", f"{_ENFORCEMENT}.rounds", "judge_frame"),
    CrashPoint("experiment locked", "after", f"{_ENFORCEMENT}.evaluation", "_recorded"),
    CrashPoint("status written", "after", _VERBS, "save_change"),
    CrashPoint("event written", "after", "catalog_experiments.lifecycle.activation", "record_event"),
    CrashPoint("evaluation recorded", "after", f"{_ENFORCEMENT}.evaluation", "append_records"),
    CrashPoint("alert written", "before", "notifications.outbox", "_deliveries_of"),
    CrashPoint("deliveries written", "after", f"{_ENFORCEMENT}.evaluation", "enqueue"),
    CrashPoint("commit is next", "after", f"{_ENFORCEMENT}.evaluation", "_act_locked"),
    CrashPoint("committed", "before", "catalog_experiments.lifecycle.renewal", "release_slots", survives=True),
    CrashPoint("worker not yet woken", "before", "notifications.outbox", "nudge", survives=True),
    CrashPoint("worker woken", "after", "notifications.outbox", "nudge", survives=True),
    CrashPoint("delivery claimed", "after", "notifications.delivery", "claim", survives=True),
    CrashPoint("sent", "after the first of", "notifications.delivery", "send_batches", survives=True, messages=2),
    CrashPoint("answered", "before", "notifications.delivery", "_note_health", survives=True, messages=2),
)


def arm(point: CrashPoint) -> None:
    """Replace the point's function by one that kills this process."""
    module = importlib.import_module(point.module)
    setattr(module, point.function, _deadly(getattr(module, point.function), point.moment))


def _deadly(function: Callable[..., Any], moment: Moment) -> Callable[..., Any]:
    def dying(*args: Any, **kwargs: Any) -> None:
        if moment == "after":
            function(*args, **kwargs)
        elif moment == "after the first of":
            next(iter(function(*args, **kwargs)))
        os.kill(os.getpid(), signal.SIGKILL)

    return dying


def run_until(point: CrashPoint, *, now: datetime) -> None:
    """Work the guardrails' slot and deliver what is due, until the process dies on the way."""
    from catalog_experiments.scheduling import GUARDRAILS, run_task
    from notifications.delivery import deliver_due

    arm(point)
    if (result := run_task(GUARDRAILS, now=now)).is_skipped:
        raise SystemExit(f"the slot was not worked: {result.reason}")
    deliver_due(now=now + timedelta(seconds=5))


if __name__ == "__main__":
    import django
    from django.db import connection

    django.setup()
    database, name, moment = sys.argv[1:]
    connection.settings_dict["NAME"] = database
    run_until(next(point for point in CRASH_POINTS if point.name == name), now=datetime.fromisoformat(moment))
