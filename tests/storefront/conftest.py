"""A storefront without its background thread: tests put documents into the process by hand."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from catalog_experiments import publication
from storefront import document
from storefront.document import DocumentReader
from storefront.plans import Snapshot, parse
from tests.storefront.entries import make_document

Hold = Callable[..., Snapshot]


@pytest.fixture(autouse=True)
def still_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the reader's thread from starting, but for tests marked by the fixture `live_reader`."""
    document.renew()
    if "live_reader" not in request.fixturenames:
        monkeypatch.setattr(DocumentReader, "start", lambda self: self._asked_once.set())


@pytest.fixture
def live_reader() -> None:
    """Let the background thread run."""


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Return a function that makes this process hold a document of the given entries."""

    def put(*entries: dict[str, Any], version: int = 7) -> Snapshot:
        snapshot = parse(make_document(*entries, version=version))
        monkeypatch.setattr(document.reader(), "_snapshot", snapshot)
        monkeypatch.setattr(document.reader(), "_confirmed_at", time.monotonic())
        return snapshot

    return put


@pytest.fixture
def publish(db: None) -> Callable[[dt.datetime], int]:
    """Return a function that publishes what the tables hold and makes this process read it; returns the version."""

    def run(now: dt.datetime) -> int:
        with transaction.atomic():
            version = publication.publish_document(now=now).version
        document.reader().refresh()
        return version

    return run
