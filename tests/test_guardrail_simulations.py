"""Simulations behind `make bench NAME=guardrails`: skipping looks changes nothing, runs repeat, the page is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog_experiments.guardrails import LatestMetric, breaches
from catalog_experiments.stats.decisions import Declared, Occasion, Stage, decide
from catalog_experiments.stats.effects import difference
from catalog_experiments.stats.looks import Look, shortfall_of_rates
from catalog_experiments.stats.moments import VariantMoments
from catalog_experiments.stats.srm import LIVE_ALPHA, log_live_e
from tests.benchmarks.figures import Figure
from tests.benchmarks.guardrails import contests
from tests.benchmarks.guardrails.looks import Rule, candidates, first_literal_breach, first_pause, verdicts_at
from tests.benchmarks.guardrails.page import write_page
from tests.benchmarks.guardrails.playing import Result, play_all, play_chunk
from tests.benchmarks.guardrails.scenes import SCENES
from tests.benchmarks.guardrails.worlds import MONDAY, TICK, TICKS_PER_DAY, Counts, History

LENIENT = Rule(alpha=0.3, minimum=40)
"""Crosses often, so that a few short histories hold every kind of look."""


def random_history(seed: int) -> History:
    """Return two days of one to three test variants with rates that jump about near the bound, control and all."""
    rng = np.random.default_rng(seed)
    ticks, tests = 2 * TICKS_PER_DAY, int(rng.integers(1, 4))
    jumps = rng.uniform(0.0, 0.16, (1 + tests, 8))
    rates = np.repeat(jumps, ticks // 8, axis=1)
    per_tick = int(rng.integers(1, 5))
    return History(MONDAY + int(rng.integers(2_016)) * TICK, per_tick, rng.binomial(per_tick, rates))


@pytest.mark.parametrize("seed", range(12))
def test_candidates__random_histories__hold_every_look_that_pauses(seed: int) -> None:
    history = random_history(seed)

    pausing = {
        look
        for look in range(history.ticks)
        if any(verdict.should_pause for verdict in verdicts_at(history, LENIENT, look))
    }

    assert pausing <= set(candidates(history, LENIENT))
    stop = first_pause(history, LENIENT)
    assert (stop and stop.look) == min(pausing, default=None)


def test_random_histories__some_pause_some_not_and_the_control_objects_in_some() -> None:
    stops = [first_pause(random_history(seed), LENIENT) for seed in range(12)]
    last = [verdicts_at(history, LENIENT, history.ticks - 1) for history in map(random_history, range(12))]

    assert 2 <= sum(stop is None for stop in stops) <= 10
    assert any("bound_unfit" in verdict.codes for verdicts in last for verdict in verdicts)


@pytest.mark.parametrize("seed", range(12))
def test_first_literal_breach__random_histories__is_the_first_of_the_runbooks_comparison(seed: int) -> None:
    history = random_history(seed)
    n = [history.per_tick * (look + 1) for look in range(history.ticks)]

    expected = next(
        (
            look
            for look in range(history.ticks)
            for row in history.accepted[1:]
            if breaches(
                LatestMetric(n[look], round(int(row[: look + 1].sum()) / n[look], 4)), LENIENT.config, LENIENT.minimum
            )
            == ("min_acceptance_rate",)
        ),
        None,
    )

    stop = first_literal_breach(history, LENIENT)
    assert (stop and stop.look) == expected


def random_contest(seed: int) -> tuple[Counts, Counts]:
    """Return units and successes of two variants over a fortnight in few looks: equal, better or worse."""
    rng = np.random.default_rng(seed)
    units = 3 * np.arange(1, 14 * 12 + 1)
    rates = np.array([[0.25], [0.25 + 0.12 * rng.choice([-1, 0, 1])]])
    return units, rng.binomial(3, np.broadcast_to(rates, (2, units.size))).cumsum(axis=1)


def pair_at(units: Counts, successes: Counts, at: int) -> tuple[VariantMoments, VariantMoments]:
    control, test = (VariantMoments.of_counts(int(own), int(units[at])) for own in successes[:, at])
    return control, test


@pytest.mark.parametrize("seed", range(20))
def test_first_difference__random_contests__is_the_first_look_of_all(seed: int) -> None:
    (units, successes), look = random_contest(seed), Look(is_final=False, planned_units=500)

    expected = None
    for at in range(units.size):
        control, test = pair_at(units, successes, at)
        interval = difference(test, control, look.half_width).interval
        if interval and interval.excludes(0) and not shortfall_of_rates((test, control)):
            expected = at
            break

    assert contests.first_difference(units, successes, look) == expected


@pytest.mark.parametrize("seed", range(20))
def test_verdict_by_the_end__random_contests__is_the_first_word_of_all_looks(seed: int) -> None:
    units, successes = random_contest(seed)
    planned, last = 2 * int(units[-1]), units.size - 1

    expected = Declared.NOTHING
    for at in range(units.size):
        stage = Stage.FINAL if at == last else Stage.EARLY
        control, test = pair_at(units, successes, at)
        [decision] = decide(control, [test], Occasion(stage, (at + 1) * TICK, planned, is_rate=True))
        is_gated = stage == Stage.EARLY and shortfall_of_rates((test, control))
        if decision.declared != Declared.NOTHING and not is_gated:
            expected = decision.declared
            break

    assert contests.verdict_by_the_end(units, successes) == expected


def test_random_contests__every_word_is_spoken() -> None:
    spoken = {contests.verdict_by_the_end(*random_contest(seed)) for seed in range(20)}

    assert spoken == set(Declared)


@pytest.mark.parametrize(("seed", "share"), [(0, 0.5), (1, 0.56), (2, 0.6), (3, 0.45)])
def test_first_ratio_alarm__random_counts__is_the_first_look_of_all(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    ticks = 2 * TICKS_PER_DAY + 100
    first = rng.binomial(4, np.where(np.arange(ticks) < TICKS_PER_DAY, 0.5, share))
    counts = np.stack([first, 4 - first])

    expected = None
    for at in range(ticks):
        days = [counts[:, start : min(start + TICKS_PER_DAY, at + 1)] for start in range(0, at + 1, TICKS_PER_DAY)]
        if log_live_e([tuple(day.sum(axis=1).tolist()) for day in days], (1, 1)) >= -np.log(LIVE_ALPHA):
            expected = at
            break

    assert contests.first_ratio_alarm(counts, (1, 1)) == expected


def test_play_chunk__other_cuts_and_fewer_runs__play_the_same_runs() -> None:
    name = "nothing accepted, quiet"

    together = play_chunk((name, 0, 4))

    assert together == play_chunk((name, 0, 1)) + play_chunk((name, 1, 3)) + play_chunk((name, 3, 4))
    assert all(ours is not None and ours < 250 for ours, _ in together)


def test_play_all__two_processes__play_the_runs_of_one() -> None:
    scene = next(scene for scene in SCENES if scene.name == "nothing accepted, quiet")

    [result] = play_all(12, [scene])

    assert tuple(zip(result.ours, result.naive, strict=True)) == tuple(play_chunk((scene.name, 0, 12)))


def test_scenes__names__are_unique() -> None:
    names = [scene.name for scene in SCENES]

    assert len(set(names)) == len(names)


def test_result__goals__are_measured_over_all_runs() -> None:
    scene = next(scene for scene in SCENES if scene.name.startswith("15 % for 7 days, then 0 %, busy"))

    some_missed = Result(scene, ours=(300.0, 100.0, None, -5.0), naive=(None,) * 4)

    stopped, mean = some_missed.figures
    assert stopped.value == pytest.approx(200 / 3)
    assert (stopped.goal, stopped.holds) == (">= 100", False)
    assert (mean.value, mean.goal, mean.holds) == (200.0, "<= 350", True)
    assert some_missed.too_early == 1


def test_write_page__results__has_a_row_for_each_with_goal_and_naive_rule(tmp_path: Path) -> None:
    results = [Result(scene, ours=(90.0, None), naive=(300.0, 310.0)) for scene in SCENES]
    cost = Figure("one guardrail decision", 0.15, "ms", at_most=0.2)

    write_page(results, [cost], runs=2, seconds=61, path=tmp_path / "page.md")

    page = (tmp_path / "page.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(SCENES) + 1
    assert all(row.count("|") == 6 for row in rows)
    assert "| on the bound, busy | 50 % paused | <= 6 % | **no** | 100 % paused |" in rows
    assert "| -50 %, control 15 %, quiet | 50 % paused; 90 orders |  |  | 100 % paused; 305 orders |" in rows
    assert "| one guardrail decision | 0.15 ms | <= 0.2 ms | yes |  |" in rows
