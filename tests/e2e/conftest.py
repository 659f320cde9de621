"""The whole system as `make run` starts it, in a state folder of its own, and a real browser in front of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from smplat.local_environment import free_port
from tests.environment import PROJECT
from tests.processes import end, wait_until

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
READY_SECONDS = 180
SHOTS = PROJECT / ".smplat" / "screenshots"


@dataclass(frozen=True)
class Stack:
    """A running system: its addresses, its login and its keys, as the ready block prints them."""

    address: str
    inbox: str
    password: str
    api_key: str
    state_dir: Path

    def api(self, method: str, path: str, **arguments: object) -> requests.Response:
        """Call the HTTP API with the server key."""
        headers = {"X-API-Key": self.api_key}
        return requests.request(method, f"{self.address}/api/v1{path}", headers=headers, timeout=30, **arguments)  # type: ignore[arg-type]  # passed on as given

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command against this system, as an operator would in another terminal."""
        environment = {**clean_environment(), "SMPLAT_STATE_DIR": str(self.state_dir)}
        environment["SMPLAT_ENV_FILE"] = str(self.state_dir / "local.env")
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def clean_environment() -> dict[str, str]:
    """Return the environment without what the tests put there: the system must come up by itself."""
    kept = ("PATH", "HOME", "LANG", "USER", "TMPDIR", "XDG_RUNTIME_DIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the demo with `manage.py up` and stop it with Ctrl-C; fails with the log's end when it does not come up."""
    state_dir = tmp_path_factory.mktemp("stack")
    log = state_dir / "up.log"
    environment = {**clean_environment(), "SMPLAT_STATE_DIR": str(state_dir), "SMPLAT_ENV_FILE": os.devnull}
    environment |= {"PORT": str(free_port(0)), "DEMO": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:

        def is_ready() -> bool:
            assert process.poll() is None, f"the system ended while starting:\n{log.read_text()}"
            return "smplat is ready" in log.read_text()

        wait_until(is_ready, READY_SECONDS)
        yield read_stack(log.read_text(), environment["PORT"], state_dir)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
    finally:
        end(process)
        if os.environ.get("SMPLAT_KEEP_LOGS"):
            shutil.copytree(state_dir / "logs", SHOTS / "logs", dirs_exist_ok=True)


def read_stack(said: str, port: str, state_dir: Path) -> Stack:
    """Read addresses and keys from the ready block and the files it names."""
    local = dict(line.split("=", 1) for line in (state_dir / "local.env").read_text().splitlines() if "=" in line)
    password = re.search(r"SMPLAT_ADMIN_PASSWORD\W+([\w-]+)", (state_dir / "credentials.json").read_text())
    assert password, said
    inbox = local["BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL"].removesuffix("/slack")
    return Stack(f"http://127.0.0.1:{port}", inbox, password[1], local["CHECKOUT_API_KEY"], state_dir)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's chromium without a window."""
    executable = shutil.which("chromium") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visitor(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Open a fresh browser profile as a shopper has it."""
    context = browser.new_context(base_url=stack.address)
    yield context.new_page()
    context.close()


@pytest.fixture
def merchandiser(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Open a fresh browser profile that is logged into the admin."""
    context = browser.new_context(base_url=stack.address, viewport={"width": 1360, "height": 1000})
    page = context.new_page()
    log_in(page, "admin", stack.password)
    yield page
    context.close()


def log_in(page: Page, username: str, password: str) -> None:
    """Log into the admin through its form."""
    page.goto("/admin/login/?next=/admin/merchandising/bundles")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/merchandising/bundles")


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the whole page for people to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"), full_page=True)


def dark(context: BrowserContext) -> None:
    """Make the browser prefer dark pages."""
    for page in context.pages:
        page.emulate_media(color_scheme="dark")
