"""Plain builders of phases hour by hour, and of a past with a weekly rhythm."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from catalog_experiments.backtest.course import Count, Course, Proposal, VariantCourse
from catalog_experiments.backtest.resampling import Stretch
from catalog_experiments.guardrails import GuardrailConfig

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT_LEAST_TEN_PERCENT = Proposal(GuardrailConfig(min_acceptance_rate=0.1), minimum_sample=250)


def course(*variants: tuple[str, Sequence[Count]], opened_at: datetime = MONDAY, minutes_lost: int = 0) -> Course:
    """Return a phase of whole hours that ended some minutes early; `control` is the control's key."""
    hours = len(variants[0][1])
    return Course(
        opened_at=opened_at,
        ended_at=opened_at.replace(minute=0) + hours * HOUR - timedelta(minutes=minutes_lost),
        variants=tuple(VariantCourse(key, tuple(counts), is_control=key == "control") for key, counts in variants),
    )


def rhythmic(days: int, rate_at: Callable[[datetime], float], *, per_hour: int = 10, seed: int = 1) -> Stretch:
    """Return a past of whole days from a Monday on in which each hour has its own true rate."""
    chance = random.Random(seed)
    hours = [MONDAY + hour * HOUR for hour in range(24 * days)]
    counts = tuple((per_hour, sum(chance.random() < rate_at(at) for _ in range(per_hour))) for at in hours)
    return Stretch(MONDAY, counts)


def weekend(at: datetime) -> float:
    """Return a rate of 9 % on weekends and 11.8 % on the other days."""
    return 0.09 if at.weekday() >= 5 else 0.118
