"""Group `guardrails`: how guardrails, comparisons and the ratio monitor behave over simulated fortnights.

`worlds` makes the shops, `looks` and `contests` ask the product's own functions, `scenes` lists what is played with its
goals, `playing` plays it on two processes, `page` writes the table of the long run, `system` plays some of it through
the whole product.
"""

from __future__ import annotations

import subprocess
import sys
import time

from tests.benchmarks import programs
from tests.benchmarks.databases import own_database
from tests.benchmarks.figures import Figure
from tests.benchmarks.guardrails import deciding
from tests.benchmarks.guardrails.page import PAGE, write_page
from tests.benchmarks.guardrails.playing import play_all
from tests.environment import PROJECT

SHORT, FULL = 100, 1_000
EACH, DAYS = 4, 14
"""Experiments of each of the five worlds that run side by side through the whole product, and for how long."""


def measure() -> list[Figure]:
    """Play 100 runs a row."""
    return [figure for result in play_all(SHORT) for figure in result.figures] + deciding.measure()


def measure_full() -> list[Figure]:
    """Play 1,000 runs a row and write the page."""
    started = time.monotonic()
    costs = deciding.measure()
    results = play_all(FULL)
    write_page(results, costs, runs=FULL, seconds=time.monotonic() - started, path=PAGE)
    return [figure for result in results for figure in result.figures] + costs


def measure_system() -> list[Figure]:
    """Play twenty experiments through the whole product; it fails where a record is not what the pure functions say."""
    with own_database() as environment:
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=PROJECT, env=environment, check=True)
        compared = programs.run("guardrails.system", str(EACH), str(DAYS), environment=environment)
    figures = [
        Figure("whole product: simulated hours", compared["looks"], ""),
        Figure("whole product: experiments side by side", compared["experiments"], ""),
        Figure("whole product: records equal to the pure functions", compared["records"], ""),
        Figure("whole product: time of the play", compared["seconds"], "s"),
    ]
    for world, orders in compared["paused"].items():
        figures += [
            Figure(f"whole product: {world}: paused", len(orders), f"of {EACH}"),
            Figure(f"whole product: {world}: mean orders since the phase began", sum(orders) / len(orders), "orders"),
        ]
    return figures
