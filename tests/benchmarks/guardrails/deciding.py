"""What one guardrail decision costs, on a phase of 60 days with 48 single hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median

import numpy as np

from catalog_experiments.guardrails import GuardrailConfig, HourTally, Observation, PhaseFrame, judge
from catalog_experiments.stats.blocks import BlockClock, block_series, merge_old_hours
from catalog_experiments.stats.mixture import mixture_evidence
from tests.benchmarks.figures import Figure
from tests.benchmarks.guardrails.worlds import MONDAY

BOUND, ALPHA, HOURLY, DAYS = 0.1, 0.05, 240, 62
MILLISECONDS = 0.2
ROUNDS, CALLS = 9, 200


def measure() -> list[Figure]:
    """Time one decision (blocks and evidence of one variant), and a whole judgement of two with their exact limits."""
    rng = np.random.default_rng(7)
    opened_at, now = MONDAY + timedelta(hours=9, minutes=30), MONDAY + timedelta(days=DAYS, hours=9)
    clock = BlockClock(opened_at, now)
    tallies = [
        merge_old_hours(
            clock,
            [
                HourTally(MONDAY + timedelta(hours=9 + hour), HOURLY, int(rng.binomial(HOURLY, rate)))
                for hour in range(24 * DAYS)
            ],
        )
        for rate in (0.12, 0.11)
    ]
    frame = PhaseFrame(opened_at, now, ALPHA, 250, GuardrailConfig(min_acceptance_rate=BOUND))
    observations = [Observation(f"variant-{place}", place == 0, True, own) for place, own in enumerate(tallies)]
    decision = _milliseconds(lambda: mixture_evidence(block_series(clock, tallies[1]), BOUND))
    whole = _milliseconds(lambda: judge(frame, observations))
    return [
        Figure("one guardrail decision, 60 days and 48 hours", decision, "ms", at_most=MILLISECONDS),
        Figure("a whole judgement of two variants with exact limits", whole, "ms"),
    ]


def _milliseconds(call: Callable[[], object]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            call()
        rounds.append((time.process_time() - started) / CALLS * 1_000)
    return median(rounds)
