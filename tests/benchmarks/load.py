"""Load from a process of its own: keep-alive connections that each ask, wait for the whole answer, and ask again.

Run as a program it reads a plan on stdin and writes what it saw on stdout, both as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle

from tests.environment import PROJECT

END_OF_HEAD = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


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


@dataclass
class _Connection:
    """One connection: what has come of the present answer, and when its request was sent (seconds)."""

    socket: socket.socket
    came: bytes = b""
    sent_at: float = 0.0

    def ask(self, request: bytes) -> None:
        """Send one request; it fits into the socket's buffer."""
        self.came, self.sent_at = b"", time.perf_counter()
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Read what is there, and say whether the answer is whole.

        Raises:
            ConnectionError: the server hung up.
        """
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise ConnectionError("the server closed a connection")
        self.came += piece
        return _is_whole(self.came)


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(END_OF_HEAD)
    if not found:
        return False
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        return body.endswith(LAST_CHUNK)
    at = lowered.find(b"content-length:")
    return at < 0 or len(body) >= int(lowered[at + 15 :].split(b"\r\n", 1)[0])


def run(plan: Plan) -> Seen:
    """Ask until the time is over, in a bare loop: the load shares the machine with the server."""
    requests, latencies, failed = cycle(text.encode() for text in plan.requests), list[float](), 0
    poll = select.epoll()
    connections = {}
    for _ in range(plan.connections):
        opened = socket.create_connection(("127.0.0.1", plan.port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(opened, select.EPOLLIN)
        connections[opened.fileno()] = _Connection(opened)
    until = time.perf_counter() + plan.seconds
    for connection in connections.values():
        connection.ask(next(requests))
    while time.perf_counter() < until:
        for handle, _ in poll.poll(0.1):
            connection = connections[handle]
            if connection.is_answered():
                latencies.append(time.perf_counter() - connection.sent_at)
                failed += connection.came[9:12] not in (b"200", b"304")
                connection.ask(next(requests))
    ordered = sorted(latencies)
    return Seen(len(ordered), failed, _rank(ordered, 0.5), _rank(ordered, 0.99))


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))] * 1_000 if ordered else float("inf")


if __name__ == "__main__":
    json.dump(asdict(run(Plan(**json.load(sys.stdin)))), sys.stdout)
