"""A web server of its own on the test's database, with a document in it that holds every state of an experiment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from catalog_experiments.models import PublishedDocument
from smplat.local_environment import free_port
from tests.builders import NOON
from tests.databases import url_of_test_database
from tests.environment import PROJECT, TEST_ENVIRONMENT
from tests.processes import running, wait_until
from tests.storefront.entries import make_document

SERVER_KEY, CLIENT_KEY = TEST_ENVIRONMENT["CHECKOUT_API_KEY"], TEST_ENVIRONMENT["STOREFRONT_CLIENT_KEY"]
READY_SECONDS = 30


@dataclass
class Site:
    """A running web server and the document it serves."""

    address: str
    version: int = 0

    def publish(self, *entries: dict[str, Any]) -> None:
        """Publish a document of these entries and return once the server holds it."""
        self.version += 1
        text = json.dumps(make_document(*entries, version=self.version))
        PublishedDocument.objects.create(version=self.version, text=text, etag=f"{self.version:064}", issued_at=NOON)
        wait_until(self._serves_newest, READY_SECONDS)

    def ask(self, path: str, context: dict[str, Any], key: str = CLIENT_KEY) -> requests.Response:
        """Ask for an evaluation, as no client of other houses does it."""
        headers = {"X-API-Key": key}
        return requests.post(f"{self.address}{path}", json={"context": context}, headers=headers, timeout=10)

    def _serves_newest(self) -> bool:
        answer = self.ask("/ofrep/v1/evaluate/flags", {"targetingKey": "anyone"})
        return answer.status_code == 200 and answer.json()["metadata"]["version"] == self.version


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    """Start the web server as a deployment does, with one worker and no limit to what a key may ask."""
    port = free_port(0)
    environment = {
        **os.environ,
        "DATABASE_URL": url_of_test_database(),
        "SMPLAT_ROLE": "web",
        "STOREFRONT_RATE_LIMIT": "0",
    }
    web = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--no-ws", "--workers", "1"]
    log = tmp_path / "web.log"
    command = [sys.executable, "-m", "granian", *web, "--blocking-threads", "4", "smplat.wsgi:application"]
    with running(command, log=log, env=environment, cwd=PROJECT) as server:

        def is_up() -> bool:
            assert server.poll() is None, log.read_text()
            return answers(f"http://127.0.0.1:{port}/livez")

        wait_until(is_up, READY_SECONDS)
        yield Site(f"http://127.0.0.1:{port}")


def answers(url: str) -> bool:
    """Say whether anybody answers there."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
