"""A database of a measurement's own, on an embedded PostgreSQL that flushes at every commit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg

from smplat.embedded.cluster import SUPERUSER, Cluster
from tests.environment import PROJECT, TEST_ENVIRONMENT

STATE = PROJECT / ".smplat" / "bench"


@contextmanager
def own_database() -> Iterator[Mapping[str, str]]:
    """Yield the environment of commands on a new, empty database, and drop it afterwards."""
    STATE.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(STATE / "postgres", durable=True)
    cluster.ensure_running()
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
    cluster.stop()
