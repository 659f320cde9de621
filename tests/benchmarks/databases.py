"""A database of a measurement's own, on an embedded PostgreSQL that flushes at every commit."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg

from smplat.embedded.cluster import SUPERUSER, Cluster
from tests.environment import PROJECT, TEST_ENVIRONMENT

STATE = PROJECT / ".smplat" / "bench"


@contextmanager
def own_database() -> Iterator[Mapping[str, str]]:
    """Yield the environment of commands on a new, empty database, and drop it afterwards.

    Measurements that run at once share the server; the last one out stops it.
    """
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "users.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        cluster = Cluster(STATE / "postgres", durable=True)
        cluster.ensure_running()
        with _database_on(cluster) as environment:
            yield environment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        cluster.stop()


@contextmanager
def _database_on(cluster: Cluster) -> Iterator[Mapping[str, str]]:
    name = f"bench_{os.getpid()}"
    with psycopg.connect(host=str(cluster.sockets), user=SUPERUSER, dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield {
                **os.environ,
                **TEST_ENVIRONMENT,
                "DATABASE_URL": f"postgres://{SUPERUSER}@/{cluster.sockets}/{name}",
            }
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
