"""Run a program beside a test and be sure that it ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command` in a session of its own, its output in `log`; end the whole session afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=env, cwd=cwd, start_new_session=True
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    """End the process and what it started: politely, then not."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def mentioning(text: str) -> dict[int, str]:
    """Return the command lines of all live processes that carry `text` in their arguments or their environment."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments, environment = ((folder / name).read_bytes() for name in ("cmdline", "environ"))
            is_zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if text.encode() in arguments + environment and not is_zombie:
                found[int(folder.name)] = arguments.replace(b"\0", b" ").decode(errors="replace")
    found.pop(os.getpid(), None)
    return found


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    """Return once `condition` holds.

    Raises:
        TimeoutError: When it does not hold after `seconds`.
    """
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"not so after {seconds:.0f} s: {condition.__name__}")
        time.sleep(0.1)
