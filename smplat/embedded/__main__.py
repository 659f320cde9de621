"""`python -m smplat.embedded stop` ends the embedded PostgreSQL of this project; `remove` deletes its data too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from smplat.embedded.cluster import Cluster


def main(arguments: list[str]) -> int:
    """Do what the one argument says; return the exit code."""
    if arguments not in (["stop"], ["remove"]):
        print("usage: python -m smplat.embedded stop|remove", file=sys.stderr)  # noqa: T201 - a command line
        return 2
    state_dir = os.environ.get("SMPLAT_STATE_DIR") or Path(__file__).resolve().parents[2] / ".smplat"
    cluster = Cluster(Path(state_dir) / "postgres")
    if arguments == ["stop"]:
        cluster.stop()
    else:
        cluster.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
