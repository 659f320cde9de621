"""The backfill of thirty days, of all experiments: in a process of its own, which prints its seconds and its memory."""

from __future__ import annotations

import json
import resource
import sys
import time

from django.utils import timezone

from catalog_experiments.aggregation import backfill


def main() -> None:
    """Backfill, and print the seconds and the most megabytes of 10^6 bytes that were held."""
    started = time.perf_counter()
    result = backfill(lookback_days=30, now=timezone.now())
    seconds = time.perf_counter() - started
    rows = result.created + result.changed + result.unchanged
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    json.dump({"seconds": seconds, "megabytes": peak, "rows": rows}, sys.stdout)
