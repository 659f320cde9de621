"""The small command lines beside `manage.py`, run as processes against real servers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from smplat.embedded.cluster import Cluster
from tests.environment import PROJECT


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class ShopOnly(BaseHTTPRequestHandler):
    """Answers 200 to its own name and 400 to any other, as Django does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Host"] == "shop.example" else 400)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a server that knows one name."""
    with HTTPServer(("127.0.0.1", 0), ShopOnly) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/livez"
        server.shutdown()
        thread.join()


def test_ask_health__under_the_first_allowed_host__is_well(address: str) -> None:
    assert run("smplat.ask_health", address, ALLOWED_HOSTS="shop.example,other.example").returncode == 0


def test_ask_health__refused__is_not_well(address: str) -> None:
    result = run("smplat.ask_health", address, ALLOWED_HOSTS="other.example")

    assert (result.returncode, "400" in result.stderr) == (1, True)


def test_embedded_stop__running__stops_it(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "postgres", durable=False)
    cluster.ensure_running()

    result = run("smplat.embedded", "stop", SMPLAT_STATE_DIR=str(tmp_path))

    assert result.returncode == 0
    assert not cluster.is_running()


def test_embedded_remove__running__leaves_no_data(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "postgres", durable=False)
    cluster.ensure_running()

    assert run("smplat.embedded", "remove", SMPLAT_STATE_DIR=str(tmp_path)).returncode == 0

    assert not cluster.data_dir.exists()


def test_embedded__anything_else__explains_itself() -> None:
    result = run("smplat.embedded", "strat")

    assert (result.returncode, result.stderr.strip()) == (2, "usage: python -m smplat.embedded stop|remove")
