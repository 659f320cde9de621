"""Group `telemetry`: facts kept, summed, brought up to date and shown, at the size of a busy month.

Five million exposures, a million orders with lines, fifty experiments; `SMPLAT_BENCH_SCALE=0.1` is a tenth of it. Every
ratio lies inside one run, in one database that flushes at each commit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from tests.benchmarks import programs
from tests.benchmarks.databases import STATE, own_database
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import Plan, drive
from tests.benchmarks.servers import serving
from tests.environment import PROJECT

TAKEN_IN = 100_000
PER_REQUEST, REQUESTS, CONNECTIONS, SECONDS = 100, 600, 4, 2.0
WORKERS, THREADS = 2, 4
"""As docs/how-to/deploy.md advises where views wait for the database."""


def measure() -> list[Figure]:
    """Measure everything; about ten minutes at the whole size."""
    scale = float(os.environ.get("SMPLAT_BENCH_SCALE", "1"))
    with own_database() as environment:
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=PROJECT, env=environment, check=True)
        month = programs.run("telemetry.history", str(scale), environment=environment)
        backfilled = programs.run("telemetry.backfilling", environment=environment)
        taken_in = programs.run("telemetry.taking_in", str(TAKEN_IN), environment=environment)
        over_http = _over_http(environment)
    return [
        *_sums(month),
        *_pages(month),
        *_backfill(backfilled),
        *_intake(taken_in, TAKEN_IN),
        *_requests(over_http, taken_in["exposures"]["unnest"][1] / TAKEN_IN),
    ]


def _sums(month: Mapping[str, float]) -> list[Figure]:
    whole, refresh = month["first aggregation"], month["refresh, whole"]
    differing = sum(value for name, value in month.items() if name.startswith("differing"))
    return [
        Figure("a month of facts: generated in", month["generating"], "s"),
        Figure("sums that differ from those by hand-written SQL", differing, "rows", at_most=0),
        Figure("first aggregation: time", whole, "s"),
        Figure("first aggregation: time, of hand-written SQL", whole / month["by hand"], "x", at_most=1.3),
        Figure(
            "a loop over rows (2 of 50 experiments, times 25): time, of the first aggregation",
            month["loop"] / whole,
            "x",
            at_least=20,
        ),
        Figure("refresh after 0.1 % new facts: time", refresh, "s"),
        Figure("refresh after 0.1 % new facts: time, of the first aggregation", refresh / whole, "x", at_most=1 / 20),
        Figure("refresh: time, of that at half the history", refresh / month["refresh, half"], "x", at_most=1.3),
    ]


def _pages(month: Mapping[str, float]) -> list[Figure]:
    return [
        Figure("control center, 200 experiments: statements", month["control center, 200"], "", at_most=19),
        Figure(
            "control center: statements more than with 50",
            month["control center, 200"] - month["control center, 50"],
            "",
            at_most=0,
        ),
        Figure("control center, 200 experiments: SQL", month["control center, milliseconds"], "ms"),
        Figure("page of one experiment: SQL", month["page, whole"], "ms", at_most=5),
        Figure(
            "page of one experiment: SQL, of that at a tenth of the facts",
            month["page, whole"] / month["page, a tenth"],
            "x",
        ),
        Figure("page of one experiment: statements", month["page, statements"], ""),
    ]


def _backfill(done: Mapping[str, float]) -> list[Figure]:
    return [
        Figure("backfill of 30 days, all experiments: time", done["seconds"], "s"),
        Figure("backfill of 30 days, all experiments: peak memory", done["megabytes"], "MB", limit=300),
        Figure("backfill of 30 days, all experiments: rows", done["rows"], ""),
    ]


def _intake(taken_in: Mapping[str, Mapping[str, Sequence[float]]], count: int) -> list[Figure]:
    figures = []
    for kind, ways in taken_in.items():
        stored = count if kind == "exposures" else count // 2
        (clock, spent), (copied, copying), (created, creating), (again, repeating) = (
            ways[name] for name in ("intake", "copy", "bulk_create", "replay")
        )
        figures += [
            Figure(f"{kind}: rate of binary COPY", stored / copied, "/s"),
            Figure(f"{kind}: rate of intake", stored / clock, "/s"),
            Figure(f"{kind}: rate of intake, of binary COPY", copied / clock, "x", at_least=0.5),
            Figure(f"{kind}: rate of intake, of bulk_create", created / clock, "x", at_least=5),
            Figure(f"{kind}: rate of binary COPY, of bulk_create", created / copied, "x"),
            Figure(f"{kind}: processor time of binary COPY, of intake", copying / spent, "x"),
            Figure(f"{kind}: processor time of bulk_create, of intake", creating / spent, "x"),
            Figure(f"{kind}: time of a replay, of the first load", again / clock, "x", at_most=1),
            Figure(f"{kind}: processor time of a replay, of the first load", repeating / spent, "x", at_most=1),
        ]
    return figures


def _over_http(environment: Mapping[str, str]) -> float:
    """Return the exposures taken in over HTTP by each processor second, the server's and PostgreSQL's together."""
    plan: list[str] = programs.run("telemetry.requests", str(REQUESTS), str(PER_REQUEST), environment=environment)
    unlimited = {"STOREFRONT_RATE_LIMIT": "0", "API_RATE_LIMIT": "0"}
    settings = {**environment, **unlimited, "SMPLAT_ROLE": "web", "LOG_LEVEL": "ERROR"}
    with ExitStack() as stack:
        server = stack.enter_context(
            serving("smplat.wsgi:application", settings, log=STATE / "intake.log", workers=WORKERS, threads=THREADS)
        )
        drive(Plan(server.port, plan[:40], CONNECTIONS, 0.5))

        def spent() -> float:
            return server.cpu_seconds() + float(programs.run("telemetry.backends", environment=environment))

        before = spent()
        seen = drive(Plan(server.port, plan[40:], CONNECTIONS, SECONDS))
        seconds = spent() - before
    if seen.failed:
        raise SystemExit(f"{seen.failed} of {seen.answered} requests failed; the log is in {STATE}")
    return seen.answered * PER_REQUEST / seconds


def _requests(over_http: float, seconds_unnested: float) -> list[Figure]:
    return [
        Figure("exposures over HTTP, 100 a request: rate, per processor second", over_http, "/s"),
        Figure(
            "exposures over HTTP, 100 a request: rate, of a direct insert from arrays",
            over_http * seconds_unnested,
            "x",
            at_least=0.6,
        ),
    ]
