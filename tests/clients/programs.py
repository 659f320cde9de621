"""Run the client programs of this folder, several at once if wanted, and read what they print."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LONGEST_SECONDS = 120


def run(program: str, question: object) -> Any:
    """Return what a program of this folder answers to a question, both as JSON.

    Raises:
        AssertionError: it failed; the message is what it said, or how to install the packages it needs.
    """
    interpreter = sys.executable if program.endswith(".py") else "node"
    assert program.endswith(".py") or (FOLDER / "node_modules").is_dir(), (
        "run `make test` once: it installs the clients"
    )
    done = subprocess.run(
        [interpreter, str(FOLDER / program)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def started(programs: Sequence[str], question: object) -> Iterator[list[Future[Any]]]:
    """Ask several programs the same at the same time; yield their answers to come, in the order of the programs."""
    with ThreadPoolExecutor(len(programs)) as threads:
        yield [threads.submit(run, program, question) for program in programs]
