"""The Celery application; tasks live in each app's `tasks` module, schedules in the database."""

from __future__ import annotations

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
os.environ.setdefault("SMPLAT_ROLE", "batch")

BETWEEN_COLLECTIONS = 50_000
"""Objects that a worker makes before the collector looks at the young ones."""

app = Celery("smplat")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@beat_init.connect
def bring_schedules_up_to_date(**_: Any) -> None:
    """Read the schedule file before the first tick of beat."""
    from django.core.management import call_command

    call_command("sync_schedules")


@worker_process_init.connect
def rest_the_collector(**_: Any) -> None:
    """Let the garbage collector leave all loaded code alone, as in the web processes, and look less often.

    A task makes many objects that live to its end and few cycles: at Python's usual 700 it looks at them again and
    again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(BETWEEN_COLLECTIONS)
