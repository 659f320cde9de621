"""The world the tests run in: an embedded PostgreSQL of their own without flushes, and a real broker.

Any number of test runs may share the cluster at once, each with databases of its own; the last one out removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator

import pytest
from django.db import connections

from smplat.embedded.broker import Broker
from smplat.embedded.cluster import Cluster
from tests.environment import STATE
from tests.processes import running

session_lock = os.open(STATE / "sessions.lock", os.O_RDWR | os.O_CREAT, 0o600)


def pytest_configure(config: pytest.Config) -> None:
    """Join the cluster's users and name this run's databases apart from those of any other."""
    if not hasattr(config, "workerinput"):
        fcntl.flock(session_lock, fcntl.LOCK_SH)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))[:12]
    connections.settings["default"]["TEST"]["NAME"] = f"test_smplat_{run}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave; the last run out stops the cluster and removes it, with whatever killed runs left there."""
    if hasattr(config, "workerinput"):
        return
    try:
        fcntl.flock(session_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    Cluster(STATE / "postgres", durable=False).remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, also when none was."""
    terminalreporter.write_line(f"skipped: {len(terminalreporter.stats.get('skipped', ()))}")


@pytest.fixture(scope="session")
def broker(worker_id: str) -> Iterator[Broker]:
    """Run a real broker for this process and point Celery at it for the whole session."""
    from smplat.celery import app

    own = Broker(STATE / f"broker-{os.getpid()}")
    with running(own.command(), log=STATE / f"broker-{worker_id}.log"):
        own.wait()
        before = app.conf.broker_url
        app.conf.update(broker_url=own.url)
        yield own
        app.conf.update(broker_url=before)
    own.forget()
    shutil.rmtree(own.home, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> None:
    """Let this run's database empty its append-only tables between tests that commit."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]  # pytest-django's blocker
        connection = connections["default"]
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} SET smplat.allow_truncate = 'on'")
        connection.close()


@pytest.fixture(autouse=True)
def storefront_ends_with_its_test() -> Iterator[None]:
    """Leave nothing of the storefront behind: no reader thread with its connection, no goods it has read."""
    yield
    from storefront import document, shelf

    document.renew()
    shelf.forget()
