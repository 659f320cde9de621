"""Play every scene many times on two processes, with the same numbers on any machine."""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import Progress

from tests.benchmarks.figures import Figure
from tests.benchmarks.guardrails.scenes import SCENES, Goal, Reach, Scene

SEED = 20260302
PROCESSES = 2
CHUNK = 10


@dataclass(frozen=True)
class Result:
    """All runs of a scene: how far the product's rule let each come, and how far the naive one."""

    scene: Scene
    ours: tuple[Reach, ...]
    naive: tuple[Reach, ...]

    @property
    def figures(self) -> list[Figure]:
        """The measured figures with their goals."""
        return [self._figure(goal) for goal in self.scene.goals]

    def _figure(self, goal: Goal) -> Figure:
        what = self.scene.event if goal.kind == "share" else f"mean {self.scene.unit}"
        return Figure(
            f"{self.scene.name}: {what}",
            self.measured(goal.kind),
            "%" if goal.kind == "share" else "",
            at_most=goal.at_most,
            at_least=goal.at_least,
        )

    def measured(self, kind: str, *, naive: bool = False) -> float:
        """Return the share of runs that ended, in per cent, or the mean reach of those; NaN when none did.

        Runs that ended before the moment from which a scene counts are left out.
        """
        reaches = [reach for reach in (self.naive if naive else self.ours) if reach is None or reach > 0]
        ended = [reach for reach in reaches if reach is not None]
        if kind == "share":
            return 100 * len(ended) / max(1, len(reaches))
        return sum(ended) / len(ended) if ended else float("nan")

    @property
    def too_early(self) -> int:
        """Runs that the product's rule ended before the moment from which the scene counts."""
        return sum(reach is not None and reach <= 0 for reach in self.ours)


def play_all(runs: int, scenes: Sequence[Scene] = SCENES) -> list[Result]:
    """Play each scene so many times; a bar on a terminal shows how far it is."""
    spawned = multiprocessing.get_context("forkserver")
    with (
        Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress,
        ProcessPoolExecutor(PROCESSES, mp_context=spawned) as pool,
    ):
        bar = progress.add_task("simulating", total=runs * len(scenes))
        tasks = list(_chunks(runs, scenes))
        played: dict[str, list[tuple[Reach, Reach]]] = {scene.name: [] for scene in scenes}
        for (name, start, stop), part in zip(tasks, pool.map(play_chunk, tasks), strict=True):
            played[name] += part
            progress.advance(bar, stop - start)
    return [_result(scene, played[scene.name]) for scene in scenes]


def play_chunk(task: tuple[str, int, int]) -> list[tuple[Reach, Reach]]:
    """Play some runs of a scene; run number r is the same in every chunk, process and total."""
    name, start, stop = task
    scene = next(scene for scene in SCENES if scene.name == name)
    return [scene.play(np.random.default_rng([SEED, zlib.crc32(name.encode()), run])) for run in range(start, stop)]


def _chunks(runs: int, scenes: Sequence[Scene]) -> Iterator[tuple[str, int, int]]:
    for scene in scenes:
        for start in range(0, runs, CHUNK):
            yield scene.name, start, min(start + CHUNK, runs)


def _result(scene: Scene, played: Sequence[tuple[Reach, Reach]]) -> Result:
    return Result(scene, tuple(ours for ours, _ in played), tuple(naive for _, naive in played))
