"""Who may do a job's work now: a row with an owner, an end and a token that grows at each takeover.

A lease ends by itself when its owner stops renewing it, so a dead owner is replaced; a stalled one that wakes up
finds its token outdated and may not write. Times are the database's, because machines disagree.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60
RENEWALS_PER_LEASE = 3

TAKE = """
INSERT INTO catalog_job_leases AS held (job, owner, token, expires_at)
VALUES (%(job)s, %(owner)s, 1, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (job) DO UPDATE
SET owner = EXCLUDED.owner, token = held.token + 1, expires_at = EXCLUDED.expires_at
WHERE held.expires_at <= clock_timestamp()
RETURNING token
"""
RENEW = """
UPDATE catalog_job_leases SET expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE job = %(job)s AND token = %(token)s
"""
CONFIRM = "SELECT 1 FROM catalog_job_leases WHERE job = %(job)s AND token = %(token)s FOR SHARE"
RELEASE = "UPDATE catalog_job_leases SET expires_at = clock_timestamp() WHERE job = %(job)s AND token = %(token)s"


class LeaseHeld(RuntimeError):
    """Somebody else does this job's work now."""


class LeaseLost(RuntimeError):
    """The work was taken over by somebody else: nothing of it may be written any more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one job's work; `token` is the fence: a higher one in the row means the right is gone."""

    job: str
    owner: str
    token: int
    seconds: float = LEASE_SECONDS

    def renew(self) -> bool:
        """Put the end off by the lease's length; False when somebody took over."""
        return self._execute(RENEW)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Hold off a takeover while the block commits what was done.

        On a connection of its own, because the work's transaction may see the lease as it was when it began.

        Raises:
            LeaseLost: somebody took over already; the block is not entered.
        """
        watch = connection.copy()
        try:
            watch.set_autocommit(False)
            with watch.cursor() as cursor:
                cursor.execute(CONFIRM, {"job": self.job, "token": self.token})
                if cursor.fetchone() is None:
                    raise LeaseLost(self.job)
            yield
        finally:
            watch.close()

    def release(self) -> None:
        """Let the next owner in at once; nothing happens when somebody took over already."""
        self._execute(RELEASE)

    def _execute(self, statement: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"job": self.job, "token": self.token, "seconds": self.seconds})
            return bool(cursor.rowcount == 1)


def take_lease(job: str, *, owner: str = "", seconds: float = LEASE_SECONDS) -> Lease:
    """Take the lease of a job that nobody holds.

    Raises:
        LeaseHeld: somebody holds it and its end has not come.
    """
    owner = owner or f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"job": job, "owner": owner, "seconds": seconds})
        row = cursor.fetchone()
    if row is None:
        raise LeaseHeld(job)
    return Lease(job, owner, row[0], seconds)


@contextmanager
def lease(job: str, *, owner: str = "", seconds: float = LEASE_SECONDS) -> Iterator[Lease]:
    """Hold the lease of a job for the block, renewing it from a thread of its own; let go at the end.

    Raises:
        LeaseHeld: somebody holds it.
    """
    taken = take_lease(job, owner=owner, seconds=seconds)
    done = threading.Event()
    renewer = threading.Thread(target=_keep_renewing, args=(taken, done), name=f"lease {job}", daemon=True)
    renewer.start()
    try:
        yield taken
    finally:
        done.set()
        renewer.join()
        with suppress(DatabaseError):  # a database that is away ends the lease by its clock
            taken.release()


def _keep_renewing(taken: Lease, done: threading.Event) -> None:
    try:
        while not done.wait(taken.seconds / RENEWALS_PER_LEASE):
            if not _renewed(taken):
                return
    finally:
        connection.close()


def _renewed(taken: Lease) -> bool:
    try:
        if taken.renew():
            return True
        logger.warning("lease of %s was taken over", taken.job)
        return False
    except DatabaseError:
        # The database may be restarting: the lease runs on until its end, and the next turn asks again.
        logger.exception("lease of %s could not be renewed", taken.job)
        connection.close()
        return True
