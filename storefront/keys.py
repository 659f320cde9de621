"""The valid API keys in memory, for routes that may not ask the database: the reader renews them each second.

A key revoked or issued is known to every process within two seconds. While the database is away the keys of before
stay valid: nobody can revoke one then, and a shop must not lose its decisions to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from catalog_experiments import access
from catalog_experiments.access import Caller, StoredKey

USES_NOTED_EVERY = timedelta(minutes=1)


class KeyRing:
    """Who holds which key. `find` is safe to call from any thread and asks nobody; `refresh` belongs to the reader."""

    def __init__(self) -> None:
        self._environment: Mapping[str, Caller] | None = None
        self._stored: Mapping[str, StoredKey] | None = None
        self._used: set[UUID] = set()
        self._noted_at = timezone.now()

    @property
    def is_read(self) -> bool:
        """Say whether the database's keys are known; before that, an unknown key may still be a good one."""
        return self._stored is not None

    def find(self, secret: str) -> Caller | None:
        """Return who presents the key, None when it is unknown, revoked or expired."""
        if self._environment is None:
            self._environment = access.environment_callers()
        # Looked up by digest: what the time of a lookup tells about a SHA-256 helps nobody to find its key.
        digest = access.digest_secret(secret)
        if (caller := self._environment.get(digest)) is not None:
            return caller
        stored = (self._stored or {}).get(digest)
        if stored is None or (stored.expires_at is not None and stored.expires_at <= timezone.now()):
            return None
        if stored.caller.key_id is not None:
            self._used.add(stored.caller.key_id)
        return stored.caller

    def refresh(self) -> None:
        """Read the valid keys, and once a minute note which were used.

        Raises:
            django.db.Error: When the database does not answer; the keys of before stay.
        """
        now = timezone.now()
        self._stored = access.stored_keys(now=now)
        if self._used and now - self._noted_at >= USES_NOTED_EVERY:
            used, self._used, self._noted_at = self._used, set(), now
            access.note_uses(used, now=now)
