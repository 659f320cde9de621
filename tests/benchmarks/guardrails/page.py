"""The page of the long run: the table, how it was made, and by which command."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.guardrails.playing import PROCESSES, SEED, Result
from tests.benchmarks.guardrails.scenes import RUNBOOK
from tests.environment import PROJECT

PAGE = PROJECT / "docs" / "explanation" / "guardrail-simulations.md"

HEAD = """# How guardrails behave: simulations

`make bench NAME=guardrails-full` made this page on {day} ({runs:,} runs a row, seed {seed}, {processes} processes on
{machine}, {minutes:.0f} minutes). `make bench NAME=guardrails` plays the first 100 of the same runs in a minute or two
and compares them with the same goals; the runs of a seed are the same on every machine. `make bench
NAME=guardrails-system` plays twenty experiments through intake, aggregation and enforcement on a simulated clock, and
fails unless every record equals what the functions simulated here say of the same data.

Each run is a shop over fourteen days that is looked at every five minutes, 4,032 times. *Busy* means 20 outcomes of
each variant between two looks, *quiet* means one. The bound is a lowest acceptance of 10 %, alpha is 0.05, the sample
guardrail 250; where nothing else is said the control's true acceptance is 15 %. The phase opens at a random five
minutes of the week. Verdicts are those of the functions that judge real experiments; looks at which they provably
cannot pause are skipped, and a test holds that against asking at every look.

The last column is what the same runs do under another rule. For guardrails that is the runbook's comparison taken
alone: pause as soon as the observed rate is below the bound and the sample guardrail is reached. For the rest it is
named. A share of about 5 % of {runs:,} runs has a standard error of {error:.1f} points.

| Scenario | Measured | Goal | Holds | Other rule |
| --- | --- | --- | --- | --- |
"""

TAIL = """
Where runs must be paused, the mean counts outcomes of the paused variant. Scenes with a fall count from the fall on;
runs paused before it ({early} of all) are left out. "Nothing accepted" is an outage: it does not wait for the sample
guardrail, but for the control to be inside the bound over the same span. A quiet shop has no goal at -50 %: where the
control, at 11 %, happens to lie below 10 % for long, its offer waits with it.

The runbook's comparison looks quick on harmful offers because it pauses nearly everything as soon as it may, and it
is slow where the counts of a good week must first be outweighed.

The ratio monitor opens a block a day, so a fault that begins with a day is found soonest; the goal is for that one. One
that begins within a day waits for the next block to open or outweighs the clean part of its own, and stands here for
the record.
"""


def write_page(results: Sequence[Result], costs: Sequence[Figure], *, runs: int, seconds: float, path: Path) -> None:
    """Write the page in place of the one before."""
    head = HEAD.format(
        day=date.today().isoformat(),  # noqa: DTZ011 - the day on the wall of the machine that ran it
        runs=runs,
        seed=SEED,
        processes=PROCESSES,
        machine=_machine(),
        minutes=seconds / 60,
        error=100 * math.sqrt(0.05 * 0.95 / runs),
    )
    rows = [*(_row(result) for result in results), *(_cost(cost) for cost in costs)]
    tail = TAIL.format(early=sum(result.too_early for result in results))
    path.write_text(head + "\n".join(rows) + "\n" + tail)


def _row(result: Result) -> str:
    goals, figures = result.scene.goals, result.figures
    measured = "; ".join(_words(result, goal.kind) for goal in goals)
    wanted = "; ".join(
        figure.goal + _unit(result, goal.kind) for figure, goal in zip(figures, goals, strict=True) if figure.goal
    )
    naive = "; ".join(_words(result, goal.kind, naive=True) for goal in goals)
    rule = "" if result.scene.naive == RUNBOOK else f" ({result.scene.naive})"
    return _line(result.scene.name, measured, wanted, figures, naive + rule)


def _cost(cost: Figure) -> str:
    wanted = f"{cost.goal} {cost.unit}" if cost.goal else ""
    return _line(cost.figure, f"{cost.value:.2g} {cost.unit}", wanted, [cost], "")


def _line(name: str, measured: str, wanted: str, figures: Sequence[Figure], naive: str) -> str:
    holds = ("yes" if all(figure.holds for figure in figures) else "**no**") if wanted else ""
    return "| " + " | ".join((name, measured, wanted, holds, naive)) + " |"


def _words(result: Result, kind: str, *, naive: bool = False) -> str:
    value = result.measured(kind, naive=naive)
    if kind == "share":
        return f"{value:.3g} % {result.scene.event}"
    return "none" if math.isnan(value) else f"{value:,.0f} {result.scene.unit}"


def _unit(result: Result, kind: str) -> str:
    return " %" if kind == "share" else f" {result.scene.unit}"


def _machine() -> str:
    models = [line.split(":", 1)[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {models[0]}" if models else f"{os.cpu_count()} cores"


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
