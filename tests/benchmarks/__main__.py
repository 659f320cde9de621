"""Measure one group of figures, or all of them; exit 1 when a goal is missed, 2 for a group that is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from tests.benchmarks import decisions, guardrail_tick, guardrails, importing, telemetry
from tests.benchmarks.figures import Figure, keep, show
from tests.environment import PROJECT

GROUPS: Mapping[str, Callable[[], list[Figure]]] = {
    "decisions": decisions.measure,
    "guardrail-tick": guardrail_tick.measure,
    "guardrails": guardrails.measure,
    "guardrails-full": guardrails.measure_full,
    "guardrails-system": guardrails.measure_system,
    "import": importing.measure,
    "telemetry": telemetry.measure,
}
ON_REQUEST = frozenset({"guardrails-full"})
"""Groups that are measured only when they are named: minutes on both cores, and a page of the docs is written anew."""

KEPT_IN = PROJECT / ".smplat" / "bench.json"


def main(arguments: Sequence[str], *, kept_in: Path = KEPT_IN) -> int:
    """Measure the groups named, all but those on request when none is; return the exit code."""
    console = Console(stderr=True)
    if unknown := sorted(set(arguments) - set(GROUPS)):
        console.print(f"There is no group {', '.join(unknown)}; there is: {', '.join(GROUPS)}.", soft_wrap=True)
        return 2
    wanted = arguments or [name for name in GROUPS if name not in ON_REQUEST]
    figures = [figure for name in wanted for figure in GROUPS[name]()]
    show(figures, Console())
    keep(figures, kept_in)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
