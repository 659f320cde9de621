"""`manage.py up`: start everything one machine needs in order, keep it running, and leave nothing behind.

Sets no Django up: it must come up where there is no database and no key yet. Stopping is the warden's work.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from django.core.exceptions import ImproperlyConfigured
from environ import Env

from smplat.embedded.broker import Broker, BrokerError
from smplat.embedded.cluster import Cluster, EmbeddedPostgresError
from smplat.embedded.folders import UnsafeFolderError
from smplat.embedded.launcher import NoServiceAccountError
from smplat.embedded.processes import is_alive
from smplat.environment_values import EnvironmentValues
from smplat.local_environment import free_port, is_free, is_true, local_environment, write_local_env
from smplat.local_services import Service, ready_block, services
from smplat.warden import Warden

PROJECT = Path(__file__).resolve().parent.parent
STOP_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SETTLED_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 30.0
START_SECONDS, READY_SECONDS = 60.0, 20.0
LOG_LIMIT_BYTES = 20_000_000
SWITCHES = ("DEMO", "EMBEDDED_POSTGRES_DURABLE")  # read before the settings are
BROKEN_SERVICES = (EmbeddedPostgresError, NoServiceAccountError, UnsafeFolderError, BrokerError)


class CannotStart(Exception):
    """Something must be put right first; the message says what."""


class Stopped(Exception):
    """Somebody asked us to stop."""


class Supervisor:
    """Starts the services of one state folder and starts again whatever dies."""

    def __init__(self, environment: Mapping[str, str], state_dir: Path, lock: int) -> None:
        """Start the warden; nothing else runs yet."""
        self.environment = dict(environment)
        self.state_dir = state_dir
        self.services: list[Service] = []
        durable = is_true(environment.get("EMBEDDED_POSTGRES_DURABLE", "true"))
        self.cluster = None if "DATABASE_URL" in environment else Cluster(state_dir / "postgres", durable=durable)
        self.warden = Warden(state_dir, kept_open=[lock], has_cluster=self.cluster is not None)

    def start_all(self, services: list[Service]) -> None:
        """Start PostgreSQL and the broker, prepare the database, then start the services."""
        if self.cluster:
            started = time.monotonic()
            self.cluster.ensure_running()
            say(f"  {'PostgreSQL':<14} {time.monotonic() - started:5.1f} s")
        if "REDIS_URL" not in self.environment:
            broker = Broker(self.state_dir / "broker")
            self.add(Service("broker", broker.command()))
            broker.wait()
        self.prepare()
        for service in services:
            self.add(service)

    def prepare(self) -> None:
        """Run the preparation to its end.

        Raises:
            CannotStart: With its own sentence where it has one, else with the last lines of its log.
        """
        log = self.log("preparation")
        with log.open("wb") as output:
            command = [sys.executable, "-m", "smplat.preparation"]
            process = self.warden.start("preparation", command, env=self.full(), cwd=PROJECT, output=output)
        shown = 0
        while process.poll() is None:
            shown = _show_progress(log, shown)
            time.sleep(0.1)
        _show_progress(log, shown)
        self.warden.ended(process.pid)
        if process.returncode == os.EX_CONFIG:
            raise CannotStart(tail(log, lines=1))
        if process.returncode != 0:
            raise CannotStart(f"the preparation failed; the end of {log}:\n{tail(log)}")

    def add(self, service: Service) -> None:
        """Start a service and keep it running from now on."""
        log = self.log(service.name)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        self.services.append(service)
        self.start(service)

    def start(self, service: Service) -> None:
        """Start the program of a service."""
        service.started_at = time.monotonic()
        with self.log(service.name).open("ab") as output:
            service.process = self.warden.start(
                service.name, service.command, env={**self.full(), **service.environment}, cwd=PROJECT, output=output
            )

    def watch(self) -> None:
        """Start again what has died, each time after a longer pause; returns never."""
        while True:
            for service in self.services:
                self.look_after(service)
            if not self.warden.is_alive():
                raise CannotStart("the process that guards against orphans was killed")
            time.sleep(0.2)

    def wait_for_web(self, address: str) -> None:
        """Return once the site says that it is ready, or has lived some seconds without saying so.

        Raises:
            CannotStart: When it does not answer at all.
        """
        started = time.monotonic()
        status, said = ask(f"{address}/readyz")
        while status != 200 and time.monotonic() - started < (START_SECONDS if status == 0 else READY_SECONDS):
            for service in self.services:
                self.look_after(service)
            time.sleep(0.2)
            status, said = ask(f"{address}/readyz")
        if status == 0:
            raise CannotStart(f"the site does not answer ({said}); the end of its log:\n{tail(self.log('web'))}")
        if status != 200:
            say(f"  the site answers, but is not well yet: {said}")

    def look_after(self, service: Service) -> None:
        """Notice the end of a service, or start it again when its pause is over."""
        now = time.monotonic()
        if service.process is None:
            if now >= service.start_again_at:
                self.start(service)
        elif (code := service.process.poll()) is not None:
            self.warden.ended(service.process.pid)
            service.process = None
            service.failures = 0 if now - service.started_at > SETTLED_SECONDS else service.failures + 1
            pause_seconds = min(LONGEST_PAUSE_SECONDS, 2.0**service.failures / 2)
            service.start_again_at = now + pause_seconds
            say(f"{service.name} ended ({code}); starting it again in {pause_seconds:.0f} s. {self.log(service.name)}")

    def log(self, name: str) -> Path:
        """Return the log file of a service."""
        return self.state_dir / "logs" / f"{name}.log"

    def full(self) -> dict[str, str]:
        """Return the environment of a program: ours, the local values over it."""
        return {**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"}


def main() -> int:
    """Run until somebody stops us; return the exit code."""
    state_dir = Path(os.environ.get("SMPLAT_STATE_DIR") or PROJECT / ".smplat").absolute()
    for request in STOP_REQUESTS:
        signal.signal(request, _stop)
    try:
        read_env_file()
        with only_one(state_dir) as lock:
            run(state_dir, lock)
    except (CannotStart, ImproperlyConfigured, *BROKEN_SERVICES) as problem:
        say(f"smplat cannot run: {problem}")
        return 1
    except Stopped:
        say("stopped.")
    return 0


def read_env_file() -> None:
    """Take over the variables of the environment file, which the environment itself overrules.

    Raises:
        CannotStart: When the file that SMPLAT_ENV_FILE names is not there.
    """
    named = os.environ.get("SMPLAT_ENV_FILE")
    env_file = Path(named or PROJECT / ".env")
    if named and not env_file.exists():
        raise CannotStart(f"SMPLAT_ENV_FILE is {named!r}, and there is no such file")
    if env_file.is_file():
        Env.read_env(env_file)


def run(state_dir: Path, lock: int) -> None:
    """Start everything, say so, and keep watch.

    Raises:
        ImproperlyConfigured: When a switch says neither yes nor no.
    """
    for switch in SWITCHES:
        EnvironmentValues().bool(switch, default=True)
    port = read_port(os.environ.get("PORT") or "8000")
    smtp_port, inbox_port = free_port(1025), free_port(8025)
    environment = local_environment(os.environ, state_dir=state_dir, smtp_port=smtp_port, inbox_port=inbox_port)
    environment["STATIC_ROOT"] = str(state_dir / "staticfiles")
    (state_dir / "logs").mkdir(parents=True, exist_ok=True)
    write_local_env(state_dir / "local.env", environment)
    say("smplat is starting")
    started = time.monotonic()
    supervisor = Supervisor(environment, state_dir, lock)
    try:
        supervisor.start_all(services(environment, smtp_port=smtp_port, inbox_port=inbox_port))
        supervisor.wait_for_web(f"http://127.0.0.1:{port}")
        say(ready_block(environment, inbox_port, state_dir, time.monotonic() - started))
        supervisor.watch()
    finally:
        say("\nstopping ...")
        supervisor.warden.stop_all()


def ask(address: str) -> tuple[int, str]:
    """Return status and body of an answer; 0 and the reason when there is none."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - our own address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode(errors="replace")
    except OSError as failure:
        return 0, str(failure)


@contextmanager
def only_one(state_dir: Path) -> Iterator[int]:
    """Hold the lock of this state folder; one that is just being left is waited for.

    Raises:
        CannotStart: When another supervisor runs on it, or nothing can be written there.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(state_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as refused:
        raise CannotStart(f"nothing can be kept in SMPLAT_STATE_DIR, {state_dir}: {refused.strerror}") from refused
    give_up_at = time.monotonic() + 20
    while not _try_lock(handle):
        owner = os.pread(handle, 20, 0).decode().strip()
        if (owner.isdigit() and is_alive(int(owner))) or time.monotonic() > give_up_at:
            raise CannotStart(f"it runs already (process {owner}); stop that one first")
        time.sleep(0.1)
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    yield handle


def read_port(text: str) -> int:
    """Return the port to serve on.

    Raises:
        CannotStart: When it is no port, or taken.
    """
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise CannotStart(f"PORT is {text!r}, which is no port number")
    if not is_free(int(text)):
        raise CannotStart(f"port {text} is taken; choose another: make run PORT={int(text) + 1}")
    return int(text)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def say(text: str) -> None:
    """Tell the person at the terminal, who may have gone."""
    with suppress(OSError):
        print(text, flush=True)  # noqa: T201 - the terminal is its place


def _show_progress(log: Path, shown: int) -> int:
    lines = [
        line for line in log.read_text(errors="replace").splitlines() if line.startswith("  ") and line.endswith(" s")
    ]
    for line in lines[shown:]:
        say(line)
    return len(lines)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop(signal_number: int, frame: FrameType | None) -> None:
    for request in STOP_REQUESTS:
        signal.signal(request, signal.SIG_IGN)  # once is enough; a second must not cut the stopping short
    raise Stopped
