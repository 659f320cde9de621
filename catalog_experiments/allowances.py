"""How often a caller may call the HTTP API in a minute: counted in the database, so that all processes share one count.

Routes that may not ask the database count in `storefront.rate_limits`, and tell callers the same.
"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, connection
from django.utils.crypto import salted_hmac

from catalog_experiments.access import Caller

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
KEPT = timedelta(minutes=5)
"""How long the count of a caller who stays away is kept."""

# Deletes after it has counted, and skips what others hold: nobody waits for a row while holding another.
COUNT = """
WITH counted AS (
    INSERT INTO catalog_api_call_counts AS known (caller, window_at, calls) VALUES (%(caller)s, %(window_at)s, 1)
    ON CONFLICT (caller) DO UPDATE SET
        calls = CASE WHEN known.window_at < excluded.window_at THEN 1 ELSE known.calls + 1 END,
        window_at = greatest(known.window_at, excluded.window_at)
    RETURNING calls, window_at
), forgotten AS (
    DELETE FROM catalog_api_call_counts WHERE caller IN (
        SELECT caller FROM catalog_api_call_counts
        WHERE %(forgets)s AND window_at < %(gone_at)s AND caller <> %(caller)s AND EXISTS (SELECT FROM counted)
        FOR UPDATE SKIP LOCKED
    )
)
SELECT calls, window_at FROM counted
"""

_cleared_at = datetime.min.replace(tzinfo=UTC)
"""The newest minute in which this process has let old counts go."""


class Allowance(NamedTuple):
    """What a caller has left in the running window; negative when this request is past the limit."""

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


def name_of(caller: Caller | None, address: str) -> str:
    """Return under what a call is counted: its key, or without a valid one where it came from, as a digest."""
    if caller is None:
        return salted_hmac("catalog_experiments.allowances", address).hexdigest()
    return str(caller.key_id or caller.name)


def take(name: str, *, limit: int, now: datetime) -> Allowance | None:
    """Count one call of the minute, in one statement; None without a limit (0), or when it cannot be counted.

    Whoever cannot be counted is let through: a limit is no reason for a shop to stand still.
    """
    if limit <= 0:
        return None
    try:
        calls, window_at = _count(name, now.replace(second=0, microsecond=0))
    except (DatabaseError, InterfaceError) as fault:
        logger.warning("a call could not be counted, and is let through: %s", fault)
        return None
    # Where the clock of another host is ahead, its minute is everybody's.
    reset = (window_at - now).total_seconds() + WINDOW_SECONDS
    return Allowance(limit, limit - calls, math.ceil(reset))


def _count(name: str, window_at: datetime) -> tuple[int, datetime]:
    global _cleared_at
    forgets, _cleared_at = _cleared_at < window_at, max(_cleared_at, window_at)
    gone_at = window_at - KEPT
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"caller": name, "window_at": window_at, "gone_at": gone_at, "forgets": forgets})
        calls, counted_at = cursor.fetchone()
    return calls, counted_at
