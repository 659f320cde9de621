"""The Celery application; tasks live in each app's `tasks` module, schedules in the database."""

from __future__ import annotations

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
os.environ.setdefault("SMPLAT_ROLE", "batch")

app = Celery("smplat")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@beat_init.connect
def bring_schedules_up_to_date(**_: Any) -> None:
    """Read the schedule file before the first tick of beat."""
    from django.core.management import call_command

    call_command("sync_schedules")


@worker_process_init.connect
def leave_what_is_loaded_alone(**_: Any) -> None:
    """Keep the garbage collector from walking over all loaded code during a task, as in the web processes."""
    gc.collect()
    gc.freeze()
