"""How often one key may ask one process: a count per minute in memory, for routes that may not ask a shared store."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from itertools import count

from django.conf import settings

from catalog_experiments.allowances import WINDOW_SECONDS, Allowance


class RateLimiter:
    """Counts the requests of each key within fixed windows of a minute; safe to use from any thread."""

    def __init__(self) -> None:
        self._window = -1
        self._counters: dict[Hashable, count[int]] = {}

    def take(self, key: Hashable) -> Allowance | None:
        """Count one request of a key; None when STOREFRONT_RATE_LIMIT is 0, for no limit."""
        limit: int = settings.STOREFRONT_RATE_LIMIT
        if limit <= 0:
            return None
        now = time.monotonic()
        window = int(now // WINDOW_SECONDS)
        if window != self._window:
            # Threads that meet a new window together may lose a count or two of it.
            self._window, self._counters = window, {}
        # `next` of a counter is one step of the interpreter, so that no lock is needed.
        used = next(self._counters.setdefault(key, count(1)))
        return Allowance(limit, limit - used, math.ceil((window + 1) * WINDOW_SECONDS - now))
