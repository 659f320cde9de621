"""Progress bars for commands that take a while, on a terminal only: logs and pipes see none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBars

from catalog_experiments.progress import Progress, tell_nobody


@contextmanager
def progress_bars(*, verbosity: int = 1) -> Iterator[Progress]:
    """Show one bar a stage on standard error while the block runs; none off a terminal or at verbosity 0."""
    if verbosity < 1 or not sys.stderr.isatty():
        yield tell_nobody
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with ProgressBars(*columns, console=Console(stderr=True)) as bars:
        stages: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total)
            bars.update(stages[stage], completed=done, total=total)

        yield tell
