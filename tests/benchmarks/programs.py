"""Run a module of this folder in a process of its own with Django set up: NAME and the arguments of its `main`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

# Not from `tests.environment`: that one would put the tests' database in the place of the measurement's.
PROJECT = Path(__file__).resolve().parents[2]


def command(name: str, *arguments: str) -> list[str]:
    """Return the command that runs the module."""
    return [sys.executable, "-m", "tests.benchmarks.programs", name, *arguments]


def run(name: str, *arguments: str, environment: Mapping[str, str]) -> Any:
    """Run the module to its end and return what it printed as JSON, None for nothing."""
    done = subprocess.run(
        command(name, *arguments), cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout) if done.stdout.strip() else None


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "smplat.settings"
    import django

    django.setup()
    import_module(f"tests.benchmarks.{sys.argv[1]}").main(*sys.argv[2:])
