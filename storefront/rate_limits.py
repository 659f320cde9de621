"""How often one key may ask one process: a count per minute in memory, for routes that may not ask a shared store."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from itertools import count
from typing import NamedTuple

from django.conf import settings

WINDOW_SECONDS = 60


class Allowance(NamedTuple):
    """What a key has left in the running window; negative when this request is past the limit, None without limit."""

    limit: int
    left: int
    reset_seconds: int

    @property
    def is_exceeded(self) -> bool:
        """Say whether the request must be refused."""
        return self.left < 0

    def headers(self) -> dict[str, str]:
        """Return the headers of the IETF draft (draft-ietf-httpapi-ratelimit-headers-10)."""
        left = max(self.left, 0)
        headers = {
            "RateLimit-Policy": f'"default";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"default";r={left};t={self.reset_seconds}',
        }
        return headers | {"Retry-After": str(self.reset_seconds)} if self.is_exceeded else headers


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
