"""A second process that outlives the supervisor just long enough to leave nothing running.

It reads a pipe whose writing end only the supervisor holds. Each program announces itself there before it starts; when
the pipe ends, for whatever reason, the warden stops all that were announced: services together, the broker after them,
PostgreSQL last. An orderly stop is the same: the supervisor closes the pipe and waits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from smplat.embedded.broker import Broker
from smplat.embedded.cluster import Cluster
from smplat.embedded.processes import living_groups

PATIENCE_SECONDS = 6.0


class Warden:
    """The supervisor's side: starts the warden, and starts programs under its eye."""

    def __init__(self, state_dir: Path, *, kept_open: Sequence[int] = (), has_cluster: bool = False) -> None:
        """Start the warden; `kept_open` are locks it holds to its end, `has_cluster` bids it stop PostgreSQL last."""
        self.programs: dict[int, str] = {}
        self.state_dir, self.has_cluster = state_dir, has_cluster
        reading, self.pipe = os.pipe()
        command = [sys.executable, "-m", "smplat.warden", str(reading), str(state_dir), *["cluster"] * has_cluster]
        self.process = subprocess.Popen(
            command,
            cwd=Path(__file__).parent.parent,
            pass_fds=[reading, *kept_open],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C or a kill of the supervisor's group must not reach it
        )
        os.close(reading)

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, announced before its first instruction runs."""
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: self._announce(f"+ {os.getpid()} {name}"),  # in the child: no gap to be killed in
        )
        self.programs[process.pid] = name
        return process

    def ended(self, pid: int) -> None:
        """Note that a program has ended, and end whatever it left behind in its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        self.programs.pop(pid, None)
        self._announce(f"- {pid}")

    def is_alive(self) -> bool:
        """Say whether the warden still stands guard."""
        return self.process.poll() is None

    def stop_all(self) -> None:
        """Stop every program, and return when the last one has ended."""
        os.close(self.pipe)
        if self.process.wait() != 0:  # somebody killed it
            stop_everything(self.programs, self.state_dir, self.has_cluster)

    def _announce(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self.pipe, f"{line}\n".encode())


def main(arguments: Sequence[str]) -> None:
    """Read announcements until the pipe ends, then stop what still runs."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    with os.fdopen(int(arguments[0])) as announcements:
        programs = read_announcements(announcements)
    stop_everything(programs, Path(arguments[1]), has_cluster=arguments[2:] == ["cluster"])


def stop_everything(programs: dict[int, str], state_dir: Path, has_cluster: bool) -> None:
    """Stop these process groups, the last started first, the broker after them, and PostgreSQL last."""
    brokers = [group for group, name in programs.items() if name == "broker"]
    stop_groups([group for group in reversed(programs) if group not in brokers])
    stop_groups(brokers)
    Broker(state_dir / "broker").forget()
    if has_cluster:
        Cluster(state_dir / "postgres").stop()


def read_announcements(lines: Iterable[str]) -> dict[int, str]:
    """Return the programs announced and not yet ended, by process group, in the order of their start."""
    programs: dict[int, str] = {}
    for line in lines:
        sign, pid, *name = line.split()
        if sign == "+":
            programs[int(pid)] = name[0]
        else:
            programs.pop(int(pid), None)
    return programs


def stop_groups(groups: Sequence[int]) -> None:
    """Ask every group to end, and end those by force that have not after some seconds."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, request)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            if not living_groups(set(groups)):
                return
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1:])
