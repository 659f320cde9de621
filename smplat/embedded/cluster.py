"""One PostgreSQL cluster that starts when somebody connects, survives them, and is stopped by name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smplat.embedded.folders import make_private, socket_folder
from smplat.embedded.launcher import Launcher, default_launcher
from smplat.embedded.processes import is_alive

SUPERUSER = "smplat"
SOCKET_NAME = ".s.PGSQL.5432"
START_SECONDS = 60
LOG_LIMIT_BYTES = 20_000_000
STOP_SIGNALS = ((signal.SIGINT, 8.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))  # fast, immediate, no mercy
CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 100
max_locks_per_transaction = 256
shared_buffers = 128MB
max_wal_size = 1GB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
"""


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL could not be made or started; the message ends with what it said itself."""


@dataclass(frozen=True)
class Cluster:
    """The cluster in `wanted_dir`; `durable` False switches off every flush to disk (for tests)."""

    wanted_dir: Path
    durable: bool = True
    database: str = "smplat"
    launcher: Launcher = field(default_factory=default_launcher)

    @property
    def data_dir(self) -> Path:
        """Where the cluster lies."""
        return self.launcher.data_dir(self.wanted_dir.absolute())

    @property
    def sockets(self) -> Path:
        """The folder to give as host when connecting."""
        return socket_folder(self.wanted_dir)

    def is_running(self) -> bool:
        """Say whether the server takes queries: its own note says so and its socket answers."""
        note = read_note(self.data_dir / "postmaster.pid")
        return len(note) > 7 and note[7].strip() == "ready" and answers(self.sockets / SOCKET_NAME)

    def ensure_running(self) -> None:
        """Make and start the cluster when it does not run; any number of processes may call this at once.

        Raises:
            EmbeddedPostgresError: When it does not start.
        """
        if self.is_running():
            return
        with self._locked():
            if not self.is_running():
                self._clear_leftovers()
                self._make()
                self._start()
                self._create_database()

    def stop(self) -> None:
        """Stop the server, at once for its clients; does nothing when it does not run."""
        with self._locked():
            pid = running_postgres(self.data_dir / "postmaster.pid")
            if pid is not None:
                stop_process(pid)
            with contextlib.suppress(OSError):
                self.sockets.rmdir()

    def remove(self) -> None:
        """Stop the server and delete all its data, wherever they lie."""
        self.stop()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.wanted_dir.parent.mkdir(parents=True, exist_ok=True)
        with (self.wanted_dir.parent / f"{self.wanted_dir.name}.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _make(self) -> None:
        make_private(self.sockets, self.launcher.owner)
        if (self.data_dir / "PG_VERSION").exists():
            return
        # Made beside its place and moved there whole, so that a kill in between leaves no half-made cluster.
        draft = self.data_dir.with_name(f"{self.data_dir.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.parent.mkdir(parents=True, exist_ok=True)
        make_private(draft, self.launcher.owner)
        options = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        result = self.launcher.run("initdb", "-D", str(draft), *options, *([] if self.durable else ["--no-sync"]))
        if result.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed in {draft}: {result.stdout.strip()}")
        draft.rename(self.data_dir)

    def _start(self) -> None:
        self._configure()
        log = self.data_dir / "server.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.unlink()
        give_up_at = time.monotonic() + START_SECONDS
        while True:
            arguments = ("-D", str(self.data_dir), "-l", str(log), "-w", "-t", str(START_SECONDS), "start")
            result = self.launcher.run("pg_ctl", *arguments)
            if result.returncode == 0 or self.is_running():
                return
            if time.monotonic() > give_up_at:
                raise EmbeddedPostgresError(
                    f"PostgreSQL does not start in {self.data_dir}: {_tail(log, result.stdout)}"
                )
            time.sleep(0.25)  # the children of a killed postmaster need a second or two to notice

    def _configure(self) -> None:
        sockets = str(self.sockets).replace("'", "''")
        text = CONFIGURATION.format(sockets=sockets, durable="on" if self.durable else "off")
        path = self.data_dir / "postgresql.conf"
        path.write_text(text)
        if self.launcher.owner is not None:
            os.chown(path, self.launcher.owner, -1)

    def _clear_leftovers(self) -> None:
        lock = self.sockets / f"{SOCKET_NAME}.lock"
        orphan = running_postgres(lock)
        if orphan is not None and orphan != running_postgres(self.data_dir / "postmaster.pid"):
            stop_process(orphan)  # its data folder was deleted under it; it would still write there
        for note in (self.data_dir / "postmaster.pid", lock):
            if running_postgres(note) is None:
                note.unlink(missing_ok=True)  # its number may belong to any process since

    def _create_database(self) -> None:
        import psycopg  # here, because the warden and the supervisor need none of it again
        from psycopg import sql

        where = {"host": str(self.sockets), "user": SUPERUSER, "dbname": "postgres"}
        with psycopg.connect(**where, autocommit=True) as connection:  # type: ignore[arg-type]  # typed per keyword
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.database]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))


def read_note(path: Path) -> Sequence[str]:
    """Return the lines of a note PostgreSQL keeps about itself (process id first); empty when there is none."""
    try:
        return path.read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return ()


def running_postgres(note: Path) -> int | None:
    """Return the process id in `note` if that process is a live PostgreSQL, else None."""
    lines = read_note(note)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    return pid if is_alive(pid, "postgres") else None


def answers(path: Path) -> bool:
    """Say whether somebody listens on the unix socket `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def stop_process(pid: int) -> None:
    """Stop the PostgreSQL with this process id, asking ever less politely, and wait for its end."""
    for request, patience_seconds in STOP_SIGNALS:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, request)
        give_up_at = time.monotonic() + patience_seconds
        while time.monotonic() < give_up_at:
            if not is_alive(pid, "postgres"):
                return
            time.sleep(0.05)


def _tail(log: Path, otherwise: str) -> str:
    text = log.read_text(errors="replace") if log.exists() else otherwise
    return "\n".join(text.strip().splitlines()[-5:])
