"""Retention with batches of ten rows, killed by itself once so many are gone: `retire.py NOW ROWS`."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
django.setup()

from catalog_experiments import retention  # noqa: E402 - Django first
from catalog_experiments.progress import Progress  # noqa: E402
from catalog_experiments.retention import rules  # noqa: E402


def kill_after(rows: int) -> Progress:
    """Return a progress that ends this process, as hard as a process can end."""

    def tell(stage: str, done: int, total: int) -> None:
        if done >= rows:
            os.kill(os.getpid(), signal.SIGKILL)

    return tell


if __name__ == "__main__":
    now, row_count = dt.datetime.fromisoformat(sys.argv[1]), int(sys.argv[2])
    rules.BATCH = 10
    retention.retire(rules=retention.RetentionRules(90, 396), now=now, progress=kill_after(row_count))
