"""Measure one group of figures, or all of them; exit 1 when a goal is missed, 2 for a group that is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from tests.benchmarks import decisions, importing
from tests.benchmarks.figures import Figure, keep, show
from tests.environment import PROJECT

GROUPS: Mapping[str, Callable[[], list[Figure]]] = {
    "decisions": decisions.measure,
    "import": importing.measure,
}
KEPT_IN = PROJECT / ".smplat" / "bench.json"


def main(arguments: Sequence[str], *, kept_in: Path = KEPT_IN) -> int:
    """Measure the groups named, all when none is; return the exit code."""
    console = Console(stderr=True)
    if unknown := sorted(set(arguments) - set(GROUPS)):
        console.print(f"There is no group {', '.join(unknown)}; there is: {', '.join(GROUPS)}.")
        return 2
    figures = [figure for name in arguments or GROUPS for figure in GROUPS[name]()]
    show(figures, Console())
    keep(figures, kept_in)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
