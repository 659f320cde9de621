"""Group `guardrail-tick`: one round over 200 running experiments, without news and with news of all."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.benchmarks.databases import own_database
from tests.benchmarks.figures import Figure
from tests.environment import PROJECT

EXPERIMENTS = 200
QUIET_SECONDS = 1.0


def measure() -> list[Figure]:
    """Measure in a process and a database of its own; about a minute."""
    with own_database() as environment:
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=PROJECT, env=environment, check=True)
        told = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.ticking", str(EXPERIMENTS)],
            cwd=PROJECT,
            env={**environment, "DJANGO_SETTINGS_MODULE": "smplat.settings"},
            check=True,
            stdout=subprocess.PIPE,
        )
    seen = json.loads(told.stdout)
    return [
        Figure(f"tick over {EXPERIMENTS} experiments, nothing new", seen["quiet"], "s", QUIET_SECONDS),
        Figure(f"tick over {EXPERIMENTS} experiments, news of all, none breached", seen["news"], "s", QUIET_SECONDS),
        Figure("the same without news, processor time of the worker", seen["quiet_cpu"], "s"),
        Figure("the same with news of all, processor time of the worker", seen["news_cpu"], "s"),
        Figure(f"queries of a tick, nothing new, {EXPERIMENTS} experiments", seen["quiet_queries"], "queries"),
        Figure(f"queries of a tick, news of all, {EXPERIMENTS} experiments", seen["news_queries"], "queries"),
        Figure("one record in the database", seen["record_bytes"], "bytes"),
    ]
