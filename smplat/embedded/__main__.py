"""`python -m smplat.embedded stop`: stop the embedded PostgreSQL of this project, which otherwise runs on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from smplat.embedded.cluster import Cluster


def main(arguments: list[str]) -> int:
    """Do what the one argument says; return the exit code."""
    if arguments != ["stop"]:
        print("usage: python -m smplat.embedded stop", file=sys.stderr)  # noqa: T201 - a command line
        return 2
    state_dir = os.environ.get("SMPLAT_STATE_DIR") or Path(__file__).resolve().parents[2] / ".smplat"
    Cluster(Path(state_dir) / "postgres").stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
