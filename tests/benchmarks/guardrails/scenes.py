"""What is played: each row of the table with its goals, and how one run of it is played and read.

A play returns two numbers: how far the product's rule let it come (outcomes or units until it acted, None when it never
did), and how far a naive rule did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from catalog_experiments.stats.decisions import Declared
from catalog_experiments.stats.looks import Look
from catalog_experiments.stats.power import sample_size
from tests.benchmarks.guardrails import contests
from tests.benchmarks.guardrails.looks import Rule, Stop, first_literal_breach, first_pause
from tests.benchmarks.guardrails.worlds import (
    TICKS_PER_DAY,
    Counts,
    Course,
    World,
    constant,
    day_and_night,
    falling,
    waves,
    weekend,
)

Reach = float | None
Play = Callable[[np.random.Generator], tuple[Reach, Reach]]
Conclude = Callable[[Counts, Counts], Declared]
Kind = Literal["share", "mean"]

BUSY, QUIET = 20, 1
"""Outcomes of each variant in five minutes."""

RULE = Rule()
FORTNIGHT = 14 * TICKS_PER_DAY
WEEK_HOURS = 168
HEALTHY = constant(0.15)
RUNBOOK = "observed rate below the bound"


@dataclass(frozen=True)
class Goal:
    """What must hold over all runs: a share of them in per cent, or the mean of those that came to an end."""

    kind: Kind
    at_most: float = np.inf
    at_least: float = -np.inf


@dataclass(frozen=True)
class Scene:
    """One row: what is played, what `unit` its numbers are in, and which naive rule stands beside it."""

    name: str
    play: Play
    goals: tuple[Goal, ...]
    naive: str = RUNBOOK
    event: str = "paused"
    unit: str = "orders"


def pausing(world: World) -> Play:
    """Return a play of a guardrail: outcomes of the paused variant since the phase began."""

    def play(rng: np.random.Generator) -> tuple[Reach, Reach]:
        history = world.history(rng)
        return _outcomes(first_pause(history, RULE)), _outcomes(first_literal_breach(history, RULE))

    return play


def pausing_after(world: World, at_hours: float) -> Play:
    """Return the same, counted from a moment on; 0 or less when it was paused before."""
    before = int(at_hours * TICKS_PER_DAY / 24) * world.per_tick
    play = pausing(world)

    def counted(rng: np.random.Generator) -> tuple[Reach, Reach]:
        ours, naive = play(rng)
        return None if ours is None else ours - before, None if naive is None else naive - before

    return counted


def _outcomes(stop: Stop | None) -> Reach:
    return None if stop is None else float(stop.outcomes)


def differing(per_tick: int) -> Play:
    """Return a play of equal variants whose conversion of 10 % is compared every five minutes."""

    def play(rng: np.random.Generator) -> tuple[Reach, Reach]:
        units = per_tick * np.arange(1, FORTNIGHT + 1)
        successes = rng.binomial(per_tick, 0.1, (2, FORTNIGHT)).cumsum(axis=1)
        ours = contests.first_difference(units, successes, Look(is_final=False))
        naive = contests.first_naive_difference(units, successes)
        return _units(ours, units), _units(naive, units)

    return play


def concluding(rate: float, wanted: frozenset[Declared], by: Conclude, beside: Conclude) -> Play:
    """Return a play of an experiment planned for 80 % power to see 10 % become 12 %, over 14 days.

    Args:
        rate: the test variant's true rate; the control's is 10 %.
        wanted: which verdicts count.
        by: the rule.
        beside: the rule to compare it with.
    """
    planned = sample_size(0.10, 0.12)

    def play(rng: np.random.Generator) -> tuple[Reach, Reach]:
        units = planned * np.arange(1, FORTNIGHT + 1) // FORTNIGHT
        arrivals = np.diff(units, prepend=0)
        successes = rng.binomial(arrivals, [[0.1], [rate]]).cumsum(axis=1)
        ours, other = by(units, successes), beside(units, successes)
        return float(planned) if ours in wanted else None, float(planned) if other in wanted else None

    return play


def dividing(share: float, *, clean_units: int = 0, is_any_time: bool = False) -> Play:
    """Return a play of 20 assignments in five minutes, planned half and half, that go astray after so many units.

    With `is_any_time` they do so at a random moment of the day that follows.
    """

    def play(rng: np.random.Generator) -> tuple[Reach, Reach]:
        clean = clean_units // BUSY + (int(rng.integers(TICKS_PER_DAY)) if is_any_time else 0)
        ticks = clean + FORTNIGHT
        first = rng.binomial(BUSY, np.where(np.arange(ticks) < clean, 0.5, share))
        counts = np.stack([first, BUSY - first])
        ours, naive = contests.first_ratio_alarm(counts, (1, 1)), contests.first_naive_ratio_alarm(counts, (1, 1))
        return _since(ours, clean), _since(naive, clean)

    return play


def _since(at: int | None, clean: int) -> Reach:
    return None if at is None else float((at + 1 - clean) * BUSY)


def _units(at: int | None, units: Counts) -> Reach:
    return None if at is None else float(units[at])


def _same(course: Course, per_tick: int = BUSY) -> World:
    return World(course, (course,), per_tick)


def _against(control: Course, test: Course, per_tick: int) -> World:
    return World(control, (test,), per_tick)


PACES = (("busy", BUSY), ("quiet", QUIET))
EITHER = frozenset({Declared.BETTER, Declared.WORSE})
ALL_STOPPED = Goal("share", at_least=100)
FOR_THE_RECORD = (Goal("share"), Goal("mean"))


def _steady() -> list[Scene]:
    limits = (("10 % above the bound", 0.11, 1), ("on the bound", 0.10, 6))
    return [
        Scene(f"{name}, {pace}", pausing(_against(HEALTHY, constant(rate), per_tick)), (Goal("share", at_most=limit),))
        for name, rate, limit in limits
        for pace, per_tick in PACES
    ]


def _rhythms() -> list[Scene]:
    courses = {
        "A/A, weekdays 11.8 % and weekends 9.0 %, busy": weekend(0.118, 0.090),
        "A/A, days 7 % and nights 15 %, busy": day_and_night(0.11, 0.04),
        "A/A, a wave of 11 +- 4 % a day, busy": waves(0.11, 0.04),
    }
    return [Scene(name, pausing(_same(course)), (Goal("share", at_most=10),)) for name, course in courses.items()]


def _harmful() -> list[Scene]:
    half, fifth = constant(0.05), constant(0.08)
    return [
        Scene("-50 %, control 15 %, busy", pausing(_against(HEALTHY, half, BUSY)), _by(400)),
        Scene("-50 %, control 11 %, busy", pausing(_against(constant(0.11), half, BUSY)), _by(500)),
        Scene("-50 %, control 15 %, quiet", pausing(_against(HEALTHY, half, QUIET)), FOR_THE_RECORD),
        Scene("-50 %, control 11 %, quiet", pausing(_against(constant(0.11), half, QUIET)), FOR_THE_RECORD),
        Scene("-20 %, control 15 %, busy", pausing(_against(HEALTHY, fifth, BUSY)), _by(2_200)),
        Scene("nothing accepted, busy", pausing(_against(HEALTHY, constant(0.0), BUSY)), _by(100)),
        Scene("nothing accepted, quiet", pausing(_against(HEALTHY, constant(0.0), QUIET)), _by(100)),
    ]


def _sudden() -> list[Scene]:
    limits = {(BUSY, 0.0): 350, (BUSY, 0.05): 1_400, (QUIET, 0.0): 200, (QUIET, 0.05): 900}
    return [
        Scene(
            f"15 % for 7 days, then {100 * after:.0f} %, {pace}",
            pausing_after(_against(HEALTHY, falling(0.15, after, WEEK_HOURS), per_tick), WEEK_HOURS),
            _by(limits[per_tick, after]),
            unit="orders after the fall",
        )
        for pace, per_tick in PACES
        for after in (0.0, 0.05)
    ]


def _contests() -> list[Scene]:
    often, alone, better = "a test for one look, at every look", "fixed at 0.05 alone", frozenset({Declared.BETTER})
    stages, fixed = contests.verdict_by_the_end, contests.verdict_at_the_end_alone
    sequence = contests.verdict_of_the_sequence_alone
    false_calls, finds = concluding(0.10, EITHER, stages, fixed), concluding(0.12, better, stages, fixed)
    least_power = (Goal("share", at_least=74),)
    return [
        *(
            Scene(
                f"A/A looked at every 5 minutes, {pace}",
                differing(per_tick),
                (Goal("share", at_most=5),),
                often,
                "called different",
                "units",
            )
            for pace, per_tick in PACES
        ),
        Scene("early 0.01 and final 0.04, A/A", false_calls, (Goal("share", at_most=5),), alone, "declared"),
        Scene("early 0.01 and final 0.04, the planned effect", finds, least_power, alone, "declared better"),
        Scene(
            "a sequence at 0.05 alone, the planned effect",
            concluding(0.12, better, sequence, fixed),
            (Goal("share"),),
            alone,
            "declared better",
        ),
    ]


def _ratios() -> list[Scene]:
    naive, whole_days = "chi-square at 5 %, at every look", 18 * TICKS_PER_DAY * BUSY
    found = (
        ("sample ratio, 50/50", dividing(0.50), (Goal("share", at_most=0.5),)),
        ("sample ratio, 52/48", dividing(0.52), _by(15_000)),
        ("sample ratio, 55/45 after 18 whole clean days", dividing(0.55, clean_units=whole_days), _by(4_000)),
        (
            "sample ratio, 55/45 after 100,000 clean units, at any time of day",
            dividing(0.55, clean_units=100_000, is_any_time=True),
            FOR_THE_RECORD,
        ),
    )
    return [Scene(name, play, goals, naive, "alarmed", "units") for name, play, goals in found]


def _by(limit: float) -> tuple[Goal, ...]:
    return ALL_STOPPED, Goal("mean", at_most=limit)


TEN = World(HEALTHY, (constant(0.10),) * 10, BUSY)

SCENES: tuple[Scene, ...] = (
    *_steady(),
    *_rhythms(),
    Scene("ten variants on the bound, split budget, busy", pausing(TEN), (Goal("share", at_most=5),)),
    *_harmful(),
    *_sudden(),
    *_contests(),
    *_ratios(),
)
