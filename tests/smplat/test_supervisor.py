"""`manage.py up` as people run it: every process real, in a state folder of its own whose path holds a space."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smplat.local_environment import free_port
from tests.environment import PROJECT
from tests.processes import end, mentioning, wait_until

START_SECONDS = 90


@dataclass
class Site:
    """Where one `manage.py up` lives, and how to start it."""

    state_dir: Path
    port: int

    @property
    def terminal(self) -> Path:
        """The file that stands in for the terminal."""
        return self.state_dir.parent / "terminal"

    def start(self, **settings: str) -> subprocess.Popen[bytes]:
        """Start it, with settings of its own; returns at once."""
        environment = {
            "PATH": os.environ["PATH"],
            "SMPLAT_STATE_DIR": str(self.state_dir),
            "SMPLAT_ENV_FILE": os.devnull,
            "EMBEDDED_POSTGRES_DURABLE": "false",
            "PORT": str(self.port),
            "DEMO": "0",
            **settings,
        }
        with self.terminal.open("wb") as terminal:
            return subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )

    def says(self, text: str) -> bool:
        """Say whether the terminal shows `text`."""
        return text in self.terminal.read_text()

    def start_and_wait(self) -> subprocess.Popen[bytes]:
        """Start it and return once it says that it is ready."""
        process = self.start()
        wait_until(lambda: self.says("smplat is ready") or process.poll() is not None, START_SECONDS)
        assert process.poll() is None, self.terminal.read_text()
        return process

    def running(self) -> list[str]:
        """Return the command lines of everything that belongs to it."""
        return list(mentioning(str(self.state_dir)).values())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with a free port, and nothing of it left afterwards."""
    site = Site(tmp_path / "a folder" / "state", free_port(0))
    site.state_dir.parent.mkdir()
    yield site
    for pid in mentioning(str(site.state_dir)):
        os.kill(pid, signal.SIGKILL)


def test_up__interrupted__has_served_and_stops_everything_within_seconds(site: Site) -> None:
    process = site.start_and_wait()
    terminal = site.terminal.read_text()

    with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/livez") as answer:
        assert answer.status == 200
    os.kill(process.pid, signal.SIGINT)

    assert process.wait(20) == 0
    assert site.running() == []
    assert "/admin/merchandising/bundles" in terminal
    assert re.search(r"admin / \S{12,}", terminal)
    for secret in ("credentials.json", "local.env"):
        assert (site.state_dir / secret).stat().st_mode & 0o777 == 0o600


def test_up__killed__leaves_nothing_running_and_goes_on_where_it_was(site: Site) -> None:
    process = site.start_and_wait()
    credentials = (site.state_dir / "credentials.json").read_text()

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    again = site.start_and_wait()  # at once: the new one waits for the end of the old one

    assert (site.state_dir / "credentials.json").read_text() == credentials
    os.killpg(again.pid, signal.SIGKILL)
    again.wait()
    wait_until(lambda: not site.running(), seconds=20)


def test_up__worker_killed__is_started_again(site: Site) -> None:
    process = site.start_and_wait()
    worker = min(
        pid for pid, line in mentioning(str(site.state_dir)).items() if "celery worker" in line or " worker " in line
    )

    os.kill(worker, signal.SIGKILL)

    wait_until(lambda: site.says("worker ended (-9); starting it again"), seconds=10)
    wait_until(lambda: any(" worker " in line for line in site.running()), seconds=10)
    end(process, 20)
    assert site.running() == []


def test_up__runs_already__says_so(site: Site) -> None:
    process = site.start()
    wait_until((site.state_dir / "up.lock").exists, seconds=10)
    wait_until(lambda: (site.state_dir / "up.lock").read_text() == str(process.pid), seconds=10)
    first = site.terminal.rename(site.terminal.with_name("first terminal"))

    second = site.start()

    assert second.wait(30) == 1
    assert site.says(f"it runs already (process {process.pid})"), first.read_text()
    end(process, 20)


def test_up__port_taken__says_so_and_starts_nothing(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.port)):
        process = site.start()

        assert process.wait(30) == 1

    assert site.says(f"port {site.port} is taken")
    assert site.running() == []


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"DEMO": "maybe"}, "DEMO is 'maybe'; it must be true or false."),
        ({"EMBEDDED_POSTGRES_DURABLE": "often"}, "EMBEDDED_POSTGRES_DURABLE is 'often'; it must be true or false."),
        ({"PORT": "web"}, "PORT is 'web', which is no port number"),
        ({"SMPLAT_ENV_FILE": "absent.env"}, "SMPLAT_ENV_FILE is 'absent.env', and there is no such file"),
        ({"SMPLAT_STATE_DIR": "/dev/null/x"}, "nothing can be kept in SMPLAT_STATE_DIR, /dev/null/x: Not a directory"),
    ],
)
def test_up__setting_that_cannot_be_used__says_so_in_one_line(
    site: Site, setting: dict[str, str], sentence: str
) -> None:
    process = site.start(**setting)

    assert process.wait(30) == 1
    assert site.terminal.read_text() == f"smplat cannot run: {sentence}\n"
    assert site.running() == []


def test_up__setting_that_the_site_refuses__says_so_without_a_traceback(site: Site) -> None:
    process = site.start(CATALOG_SHOP_TIME_ZONE="Mars")

    assert process.wait(START_SECONDS) == 1
    terminal = site.terminal.read_text()
    assert terminal.endswith(
        "smplat cannot run: CATALOG_SHOP_TIME_ZONE 'Mars' is not a time zone. Use a name such as Europe/Berlin.\n"
    )
    assert "Traceback" not in terminal
    assert site.running() == []
