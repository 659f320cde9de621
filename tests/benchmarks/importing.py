"""Group `import`: a file of 240,007 order lines into an empty database that flushes at every commit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping

from tests.benchmarks.databases import STATE, own_database
from tests.benchmarks.figures import Figure
from tests.benchmarks.retail import order_file
from tests.environment import PROJECT

WALL_SECONDS, PEAK_MEGABYTES = 60, 300
MANAGE = [sys.executable, "manage.py"]
# So that each order is held against bundles, as in a shop: real pairs of the real file.
BUNDLES = (("22697", "22699"), ("22697", "22698"), ("22386", "85099B"), ("20725", "22383"))
MAKE_BUNDLES = """
from catalog_experiments.models import Bundle
for anchor, other in {pairs}:
    parts = [dict(slug=slug, quantity=1) for slug in (anchor, other)]
    slug, common = f"{{anchor}}-{{other}}".lower(), dict(title="Pair", components=parts, currency="GBP")
    Bundle.objects.create(bundle_slug=slug, primary_product_slug=anchor, **common)
"""


def measure() -> list[Figure]:
    """Import the file once; wall time and peak memory are those of the importing process from start to end."""
    path = order_file(STATE)
    with own_database() as environment:
        _run(["migrate", "--verbosity", "0"], environment)
        _run(["shell", "-v", "0", "-c", MAKE_BUNDLES.format(pairs=BUNDLES)], environment)
        seconds, megabytes = _timed(["import_orders", str(path), "--format", "online-retail"], environment)
    return [
        Figure("import of 240,007 order lines, wall time", seconds, "s", WALL_SECONDS),
        Figure("import of 240,007 order lines, peak memory", megabytes, "MB", PEAK_MEGABYTES),
    ]


def _run(arguments: list[str], environment: Mapping[str, str]) -> None:
    subprocess.run([*MANAGE, *arguments], cwd=PROJECT, env=environment, check=True)


def _timed(arguments: list[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a command and return its wall seconds and the most memory it held, in megabytes of 10^6 bytes."""
    started = time.monotonic()
    process = subprocess.Popen([*MANAGE, *arguments], cwd=PROJECT, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with {process.returncode}")
    return time.monotonic() - started, usage.ru_maxrss * 1024 / 1e6
