"""The published document, held in memory: second-last step of the walk, where a pause becomes visible to shoppers.

One daemon thread per process asks for the newest version each second, over a connection of its own, and swaps an
immutable snapshot. Requests only read it: no SQL, no lock, no wait but for the first document of a process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from catalog_experiments import publication
from storefront.keys import KeyRing
from storefront.plans import Snapshot, parse

__all__ = ["DocumentReader", "install", "parse", "reader", "renew"]

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often a process asks for the newest version; a pause shows everywhere within two of these."""

FIRST_WAIT_SECONDS = 0.5
"""The longest a request waits for the first document of its process; afterwards nobody ever waits."""


class DocumentReader:
    """Keeps the newest snapshot of this process, and knows how fresh it is.

    `confirmed_at` (seconds of its clock) is the last moment at which the held version was seen to be the newest: a
    lease, after which requests serve control. `keys` are the API keys, renewed along with the document. Everything but
    `refresh` is safe to call from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a reader that has read nothing; `clock` tells the seconds that leases are counted in."""
        self._clock = clock
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked_once = threading.Event()
        self._stop = threading.Event()
        self._is_failing = False
        self._snapshot: Snapshot | None = None
        self._confirmed_at = float("-inf")
        self._lease_text: tuple[tuple[float, int], str] | None = None
        self.keys = KeyRing()

    def current(self) -> Snapshot | None:
        """Return the snapshot to serve from, or None when there is none or its lease has run out.

        The first call of a process starts the reader and waits for its first document, `FIRST_WAIT_SECONDS` at most.
        """
        if self._thread is None:
            self.start()
        if self._snapshot is None and not self._asked_once.is_set():
            self._asked_once.wait(FIRST_WAIT_SECONDS)
        return self._snapshot if self.age_seconds() <= settings.STOREFRONT_STALE_SECONDS else None

    def last_seen(self) -> Snapshot | None:
        """Return the snapshot held, however old: good enough to know each experiment's control."""
        return self._snapshot

    def age_seconds(self) -> float:
        """Return the seconds since the held version was last seen to be the newest; infinite before the first."""
        return self._clock() - self._confirmed_at

    def not_after(self, now: datetime) -> datetime:
        """Return when the lease of what is held ends, or ended. Needs a document that is held."""
        return now + timedelta(seconds=settings.STOREFRONT_STALE_SECONDS - self.age_seconds())

    def not_after_text(self) -> str:
        """Return the same as ISO 8601 text in UTC, to the second; worked out once for each look at the database."""
        lease = (self._confirmed_at, settings.STOREFRONT_STALE_SECONDS)
        held = self._lease_text
        if held is None or held[0] != lease:
            held = self._lease_text = (lease, self.not_after(timezone.now()).isoformat(timespec="seconds"))
        return held[1]

    def start(self) -> None:
        """Start the daemon thread unless it runs; idempotent."""
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="storefront-document", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread within a poll and close its connection; a stopped reader stays stopped."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def refresh(self) -> None:
        """Ask once for the newest version and hold it.

        Raises:
            django.db.Error: When the database does not answer; what is held stays.
        """
        asked_at = self._clock()
        version = publication.newest_version()
        if self._snapshot is None or version != self._snapshot.version:
            self._snapshot = parse(publication.load_document(version) if version else None)
        self._confirmed_at = asked_at

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._refresh_safely()
                self._asked_once.set()
                self._stop.wait(POLL_SECONDS)
        finally:
            connection.close()

    def _refresh_safely(self) -> None:
        try:
            self.refresh()
            self.keys.refresh()
        except Exception:
            # Whatever went wrong, the next second tries again; the lease ends what cannot be renewed.
            if not self._is_failing:
                logger.exception("the published document cannot be read; serving the last one while its lease lasts")
            self._is_failing = True
            _drop_connection()
        else:
            if self._is_failing:
                logger.warning("the published document is readable again")
            self._is_failing = False


def _drop_connection() -> None:
    try:
        connection.close()
    except Exception:
        logger.debug("closing a broken connection failed", exc_info=True)


_reader = DocumentReader()


def reader() -> DocumentReader:
    """Return the reader of this process."""
    return _reader


def install(held: DocumentReader) -> DocumentReader:
    """Make this the reader of this process, one with a clock of its own for instance; the former one must not run."""
    global _reader
    _reader = held
    return held


def renew() -> None:
    """Stop this process's reader and put an unused one in its place."""
    _reader.stop()
    _forget()


def _forget() -> None:
    global _reader
    _reader = DocumentReader()


# A thread does not survive a fork: the child starts its own at its first decision.
os.register_at_fork(after_in_child=_forget)
