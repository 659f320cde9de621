"""The price of the rule `persistent`, held against exact references and against the rule itself on simulated shops."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from scipy.stats import binom

from catalog_experiments.guardrails import HourTally
from catalog_experiments.guardrails.batches import closed_batches, is_persistently_outside
from catalog_experiments.stats.persistence import chance_of_bad_batch, chance_of_run, plan_batches

OPENED_AT = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(("rate", "threshold", "size"), [(0.11, 0.1, 50), (0.11, 0.1, 240), (0.3, 0.28, 1001)])
def test_chance_of_bad_batch__minimum__is_the_binomial_tail(rate: float, threshold: float, size: int) -> None:
    below = sum(binom.pmf(k, size, rate) for k in range(size) if k / size < threshold)

    assert chance_of_bad_batch(rate, threshold, size) == pytest.approx(below, rel=1e-9)


def test_chance_of_bad_batch__maximum__is_the_upper_tail() -> None:
    above = sum(binom.pmf(k, 50, 0.27) for k in range(51) if k / 50 > 0.3)

    assert chance_of_bad_batch(0.27, 0.3, 50, is_maximum=True) == pytest.approx(above, rel=1e-9)


def test_chance_of_bad_batch__huge_batch__is_near_the_binomial_tail() -> None:
    assert chance_of_bad_batch(0.101, 0.1, 20_001) == pytest.approx(binom.cdf(2000, 20_001, 0.101), abs=0.001)


@pytest.mark.parametrize(("batches", "consecutive"), [(2, 3), (0, 1), (3, 3), (10, 2)])
def test_chance_of_run__few_batches__equals_every_sequence_counted(batches: int, consecutive: int) -> None:
    bad = 0.4
    counted = 0.0
    for sequence in range(2**batches):
        bits = f"{sequence:0{batches}b}" if batches else ""
        if "1" * consecutive in bits:
            counted += bad ** bits.count("1") * (1 - bad) ** bits.count("0")

    assert chance_of_run(bad, batches, consecutive) == pytest.approx(counted)


def test_plan_batches__no_orders__has_no_batch() -> None:
    assert plan_batches(50, 0.0, 336).count == 0


def test_chance_of_run__against_the_rule_on_simulated_shops__agrees() -> None:
    shops, hours, consecutive = 400, 48, 4
    plan = plan_batches(50, 25.0, hours)
    told = chance_of_run(chance_of_bad_batch(0.11, 0.1, plan.size), plan.count, consecutive)
    draw = random.Random(5)

    paused = sum(_is_ever_paused(draw, hours, consecutive) for _ in range(shops))

    spread = (told * (1 - told) / shops) ** 0.5
    assert 0.1 < told < 0.6
    assert paused / shops == pytest.approx(told, abs=3 * spread)


def _is_ever_paused(draw: random.Random, hours: int, consecutive: int) -> bool:
    taken = [sum(draw.random() < 0.11 for _ in range(25)) for _ in range(hours)]
    tallies = [HourTally(OPENED_AT + timedelta(hours=hour), 25, own) for hour, own in enumerate(taken)]
    batches = closed_batches(tallies, 250, OPENED_AT + timedelta(hours=hours))
    runs = (batches[start : start + consecutive] for start in range(len(batches) - consecutive + 1))
    return any(is_persistently_outside(run, 0.1, False) for run in runs)
