"""One measured figure and its goal, and how figures are shown and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """What was measured, with its goal in `unit`: below `limit`, or from `at_least` to `at_most`.

    Infinite: told for the record.
    """

    figure: str
    value: float
    unit: str
    limit: float = math.inf
    at_most: float = math.inf
    at_least: float = -math.inf

    @property
    def holds(self) -> bool:
        """Say whether the goal is met."""
        return self.value < self.limit and self.at_least <= self.value <= self.at_most

    @property
    def row(self) -> dict[str, object]:
        """Return the figure as it is kept: figure, value, unit, goal, holds."""
        fields = asdict(self)
        return {**{name: fields[name] for name in ("figure", "value", "unit")}, "goal": self.goal, "holds": self.holds}

    @property
    def goal(self) -> str:
        """Return the goal in words of the table."""
        goals = {"<": self.limit, "<=": self.at_most, ">=": self.at_least}
        return " and ".join(f"{sign} {goal:g}" for sign, goal in goals.items() if not math.isinf(goal))


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print the figures as a table."""
    table = Table("Figure", "Value", "Unit", "Goal", "Holds")
    for measured in figures:
        verdict = "[green]yes[/]" if measured.holds else "[red]no[/]"
        table.add_row(measured.figure, _shown(measured.value), measured.unit, measured.goal, verdict)
    console.print(table)


def _shown(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def keep(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON, in place of those of the run before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([measured.row for measured in figures], indent=2) + "\n")
