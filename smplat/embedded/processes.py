"""Questions about processes that are not our children."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

HAS_PROC = Path("/proc/self/stat").exists()


def is_alive(pid: int, program: str | None = None) -> bool:
    """Say whether `pid` is a process that still runs (a zombie does not); if given, one of that program.

    Where there is no /proc, the program is not compared.
    """
    if not HAS_PROC:
        return answers_signal(pid)
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return program in {None, name} and rest.split()[0] not in {"Z", "X"}


def living_groups(groups: set[int]) -> set[int]:
    """Return those process groups that have a member which still runs."""
    if not HAS_PROC:
        return {group for group in groups if answers_signal(-group)}
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, group = stat.read_text().rpartition(")")[2].split()[:3]
            if state not in {"Z", "X"} and int(group) in groups:
                found.add(int(group))
    return found


def answers_signal(pid: int) -> bool:
    """Say whether the process (or, when negative, the process group) exists and is ours."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
