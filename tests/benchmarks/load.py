"""Load from a process of its own: keep-alive connections that each ask, wait for the whole answer, and ask again.

Run as a program it reads a plan on stdin and writes what it saw on stdout, both as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count

from tests.environment import PROJECT

END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class Plan:
    """Whom to ask what: `requests` are whole HTTP/1.1 requests, taken in turn."""

    port: int
    requests: Sequence[str]
    connections: int = 16
    seconds: float = 2.0


@dataclass(frozen=True)
class Seen:
    """What came back: requests answered, how many had another status than 200 or 304, latencies in milliseconds."""

    answered: int
    failed: int
    p50_ms: float
    p99_ms: float


def drive(plan: Plan) -> Seen:
    """Run the plan in another process and return what it saw."""
    command = [sys.executable, "-m", "tests.benchmarks.load"]
    done = subprocess.run(
        command, input=json.dumps(asdict(plan)), text=True, capture_output=True, check=True, cwd=PROJECT
    )
    return Seen(**json.loads(done.stdout))


class _Visitor(asyncio.Protocol):
    """One connection: measures from the sending of a request to the last byte of its answer."""

    def __init__(self, requests: Sequence[bytes], turn: count[int], latencies: list[float]) -> None:
        self._requests, self._turn, self._latencies = requests, turn, latencies
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent_at = 0.0
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Ask again once the answer is whole."""
        self._buffer += data
        head_end = self._buffer.find(END_OF_HEAD)
        if head_end < 0 or len(self._buffer) < head_end + len(END_OF_HEAD) + _length(self._buffer[:head_end]):
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        self.failed += self._buffer[9:12] not in (b"200", b"304")
        self._buffer = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that the server closed as a failure."""
        self.failed += exc is not None

    def stop(self) -> None:
        """Ask no more."""
        if self._transport is not None:
            self._transport.abort()

    def _ask(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._sent_at = time.perf_counter()
            self._transport.write(self._requests[next(self._turn) % len(self._requests)])


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def _run(plan: Plan) -> Seen:
    requests, turn, latencies = [text.encode() for text in plan.requests], count(), list[float]()
    loop = asyncio.get_running_loop()
    visitors = []
    for _ in range(plan.connections):
        _, visitor = await loop.create_connection(lambda: _Visitor(requests, turn, latencies), "127.0.0.1", plan.port)
        visitors.append(visitor)
    await asyncio.sleep(plan.seconds)
    for visitor in visitors:
        visitor.stop()
    ordered = sorted(latencies)
    failed = sum(visitor.failed for visitor in visitors)
    return Seen(len(ordered), failed, _rank(ordered, 0.5), _rank(ordered, 0.99))


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))] * 1_000 if ordered else float("inf")


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(_run(Plan(**json.load(sys.stdin))))), sys.stdout)
