"""Granian servers for measuring: started as in production, and asked what they cost."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.environment import PROJECT
from tests.processes import running

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
START_SECONDS = 30.0


@dataclass(frozen=True)
class Server:
    """A running server: its port and its first process."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes so far, user and system."""
        return sum(sum(map(int, _stat(pid)[11:13])) for pid in self._tree()) / TICKS

    def worker_megabytes(self) -> float:
        """Return the resident memory of its largest worker, in megabytes of 10^6 bytes."""
        workers = [pid for pid in self._tree() if pid != self.pid]
        return max(int(_stat(pid)[21]) * PAGE_BYTES for pid in workers) / 1e6

    def _tree(self) -> list[int]:
        parents = {int(folder.name): _parent(folder) for folder in Path("/proc").glob("[0-9]*")}
        found = [self.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found


@contextmanager
def serving(
    application: str, environment: Mapping[str, str], *, log: Path, workers: int, threads: int
) -> Iterator[Server]:
    """Serve a WSGI application on a port of its own, and stop it afterwards."""
    port = _free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--no-ws", "--workers", str(workers), "--blocking-threads", str(threads), application]
    with running(command, log=log, env=environment, cwd=PROJECT) as process:
        _wait_for(port)
        yield Server(port, process.pid)


def _stat(pid: int) -> list[str]:
    """Return the fields of a process after its name, as proc(5) counts them from the third."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(folder: Path) -> int:
    try:
        return int(_stat(int(folder.name))[1])
    except OSError:
        return 0  # it ended while we looked


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
        else:
            return
