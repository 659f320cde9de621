"""Group `decisions`: what an answer costs and how long it takes, beside constant answers of the same servers.

Every ratio lies inside one run: the servers stand side by side, and each round asks all of them in turn. The load comes
from another process on the same machine; processor time is that of the server's process tree.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import quote

import orjson

from tests.benchmarks import programs
from tests.benchmarks.databases import STATE, own_database
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import Plan, Seen, drive
from tests.benchmarks.servers import Server, serving
from tests.environment import PROJECT

ROUNDS, SECONDS, CONNECTIONS = 8, 1.0, 16
WORKERS, THREADS = max(1, (os.cpu_count() or 1) - 1), 1
"""As docs/how-to/deploy.md advises for a decision service on the database's machine."""

VISITORS = 500
KEY, CLIENT_KEY = "test-server-key", "test-client-key"
CONTEXT = {"country": "DE", "returning": False}
NATIVE, BULK = "/api/v1/catalog/assignments", "/ofrep/v1/evaluate/flags"
PAYLOAD = f"/api/features/{CLIENT_KEY}"
SEEN_SECONDS = 2.5
FACTS, COUNTED_BEFORE_SECONDS = 200_000, 2.0
CPU_GOAL, CPU_STRETCH, TAIL_GOAL, SDK_GOAL, LOCK_GOAL_MS = 0.75, 1.15, 3.0, 1 / 5, 20.0


@dataclass(frozen=True)
class Cost:
    """What one kind of request cost: medians of the rounds; `tail` is p99 over p50."""

    cpu_ms: float
    p50_ms: float
    p99_ms: float
    per_second: float
    tail: float

    @classmethod
    def of(cls, rounds: Sequence[tuple[float, Seen]], seconds: float) -> Cost:
        """Return the cost of several rounds, each the processor milliseconds per request and what was seen."""
        return cls(
            cpu_ms=median(cpu_ms for cpu_ms, _ in rounds),
            p50_ms=median(seen.p50_ms for _, seen in rounds),
            p99_ms=median(seen.p99_ms for _, seen in rounds),
            per_second=median(seen.answered for _, seen in rounds) / seconds,
            tail=median(seen.p99_ms / seen.p50_ms for _, seen in rounds),
        )


def measure() -> list[Figure]:
    """Measure everything; about three minutes."""
    with own_database() as database, ExitStack() as stack:
        environment = {**database, "STOREFRONT_RATE_LIMIT": "0", "SMPLAT_ROLE": "web", "LOG_LEVEL": "ERROR"}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=PROJECT, env=database, check=True)
        _launch("experiments", 10, database)
        ours = stack.enter_context(
            serving(
                "smplat.wsgi:application", environment, log=STATE / "decisions.log", workers=WORKERS, threads=THREADS
            )
        )
        body, _ = _ask(ours, f"{NATIVE}?unit_id=visitor-1")
        constant = stack.enter_context(
            serving(
                "tests.benchmarks.constant_server:application",
                {**environment, "BENCH_BODY": body.decode()},
                log=STATE / "constants.log",
                workers=WORKERS,
                threads=THREADS,
            )
        )
        figures = [*_requests(ours, constant, 10), *_beside_aggregation(ours, database)]
        _launch("experiments", 20, database)
        time.sleep(SEEN_SECONDS)
        figures += _requests(ours, constant, 20)
        small = ours.worker_megabytes()
        _launch("experiments", 500, database)
        time.sleep(SEEN_SECONDS)
        figures += [*_payload(ours, database), Figure("worker memory with 20 experiments", small, "MB")]
    return figures + _in_process(database)


def _requests(ours: Server, constant: Server, experiments: int) -> list[Figure]:
    asked: dict[str, tuple[Server, Sequence[str]]] = {
        "plain": (constant, [_request("GET", "/plain")]),
        "drf": (constant, [_request("GET", "/drf")]),
        "native": (ours, [_native(number) for number in range(VISITORS)]),
        "OFREP bulk": (ours, [_ofrep(number) for number in range(VISITORS)]),
    }
    costs = _costs(asked)
    figures = []
    for name in ("native", "OFREP bulk"):
        label = f"{name}, {experiments} experiments"
        figures += [
            Figure(f"{label}: CPU, of a constant DRF answer", costs[name].cpu_ms / costs["drf"].cpu_ms, "x", CPU_GOAL),
            Figure(
                f"{label}: CPU, of a constant Django answer (stretch {CPU_STRETCH})",
                costs[name].cpu_ms / costs["plain"].cpu_ms,
                "x",
            ),
            Figure(f"{label}: p99 of p50 at c={CONNECTIONS}", costs[name].tail, "x", TAIL_GOAL),
        ]
    for name, cost in costs.items():
        figures += [
            Figure(f"{name} ({experiments}): CPU a request", cost.cpu_ms, "ms"),
            Figure(f"{name} ({experiments}): p50", cost.p50_ms, "ms"),
            Figure(f"{name} ({experiments}): p99", cost.p99_ms, "ms"),
            Figure(f"{name} ({experiments}): p99 of p50", cost.tail, "x"),
            Figure(f"{name} ({experiments}): rate", cost.per_second, "/s"),
        ]
    return figures


def _costs(asked: Mapping[str, tuple[Server, Sequence[str]]], *, rounds: int = ROUNDS) -> dict[str, Cost]:
    found: dict[str, list[tuple[float, Seen]]] = {name: [] for name in asked}
    for server, requests in asked.values():
        drive(Plan(server.port, requests, CONNECTIONS, 0.5))
    for _ in range(rounds):
        for name, (server, requests) in asked.items():
            found[name].append(_round(server, requests, SECONDS))
    return {name: Cost.of(seen, SECONDS) for name, seen in found.items()}


def _round(server: Server, requests: Sequence[str], seconds: float) -> tuple[float, Seen]:
    before = server.cpu_seconds()
    seen = drive(Plan(server.port, requests, CONNECTIONS, seconds))
    if seen.failed:
        raise SystemExit(f"{seen.failed} of {seen.answered} requests failed; the log is in {STATE}")
    return (server.cpu_seconds() - before) / seen.answered * 1_000, seen


def _beside_aggregation(ours: Server, database: Mapping[str, str]) -> list[Figure]:
    _launch("facts", FACTS, database)
    requests = [_native(number) for number in range(VISITORS)]
    counting = programs.command("launching", "counting", str(int(COUNTED_BEFORE_SECONDS + ROUNDS * SECONDS) + 1))
    with subprocess.Popen(counting, cwd=PROJECT, env=database, stdout=subprocess.PIPE) as beside:
        time.sleep(COUNTED_BEFORE_SECONDS)
        cost = Cost.of([_round(ours, requests, SECONDS) for _ in range(ROUNDS)], SECONDS)
        if beside.poll() is not None:
            raise SystemExit("the aggregation ended before the load")
        runs = int((beside.communicate()[0] or b"0").decode())
    if beside.returncode or not runs:
        raise SystemExit("the aggregation beside the load did not run")
    label = f"native, beside an aggregation of {5 * FACTS:,} exposures"
    return [
        Figure(f"{label}: p99 of p50 at c={CONNECTIONS}", cost.tail, "x", TAIL_GOAL),
        Figure(f"{label}: p99", cost.p99_ms, "ms"),
        Figure(f"{label}: CPU a request", cost.cpu_ms, "ms"),
        Figure(f"{label}: whole passes meanwhile", runs, ""),
    ]


def _payload(ours: Server, database: Mapping[str, str]) -> list[Figure]:
    body, tag = _ask(ours, PAYLOAD)
    fresh, held = _request("GET", PAYLOAD), _request("GET", PAYLOAD, headers={"If-None-Match": tag})
    costs = _costs({"200": (ours, [fresh]), "304": (ours, [held])}, rounds=3)
    least_ms, median_ms = _launch("publishing", 20, database)
    return [
        Figure("500 experiments: publishing under the lock, undisturbed", least_ms, "ms", LOCK_GOAL_MS),
        Figure("500 experiments: publishing under the lock, median", median_ms, "ms"),
        Figure("500 experiments: payload", len(body) / 1e3, "kB"),
        Figure("500 experiments: payload, gzip", len(gzip.compress(body, 6)) / 1e3, "kB"),
        Figure("500 experiments: CPU of a payload", costs["200"].cpu_ms, "ms"),
        Figure("500 experiments: CPU of a 304", costs["304"].cpu_ms, "ms"),
        Figure("500 experiments: worker memory", ours.worker_megabytes(), "MB"),
    ]


def _in_process(environment: Mapping[str, str]) -> list[Figure]:
    found: dict[str, dict[str, float]] = programs.run("deciding", environment=environment)
    figures = []
    for size, seconds in found.items():
        label = f"deciding on {size} experiment{'s' if size != '1' else ''} in process"
        figures += [
            Figure(f"{label}: time, of the GrowthBook SDK", seconds["at_once"] / seconds["sdk"], "x", SDK_GOAL),
            Figure(f"{label}: one by one, of the GrowthBook SDK", seconds["one_by_one"] / seconds["sdk"], "x"),
            Figure(f"{label}: rate", 1 / seconds["at_once"], "/s"),
            Figure(f"{label}: rate of the GrowthBook SDK", 1 / seconds["sdk"], "/s"),
        ]
    return figures


def _visitor(number: int) -> str:
    return f"{number * 7919:08x}-0000-4000-8000-{number:012x}"


def _native(number: int) -> str:
    return _request("GET", f"{NATIVE}?unit_id={_visitor(number)}&context={quote(json.dumps(CONTEXT))}")


def _ofrep(number: int) -> str:
    return _request("POST", BULK, orjson.dumps({"context": {"targetingKey": _visitor(number), **CONTEXT}}).decode())


def _request(method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> str:
    sent = {"Host": "127.0.0.1", "X-API-Key": KEY, "Accept": "application/json", **(headers or {})}
    if body:
        sent |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def _ask(server: Server, path: str) -> tuple[bytes, str]:
    """Return the body and the ETag of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path, headers={"X-API-Key": KEY})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != http.HTTPStatus.OK:
        raise SystemExit(f"{path} answered {response.status}: {body[:500].decode(errors='replace')}")
    return body, response.headers.get("ETag", "")


def _launch(program: str, size: int, environment: Mapping[str, str]) -> Any:
    return programs.run("launching", program, str(size), environment=environment)
