"""Plain builders of phases and observations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from catalog_experiments.guardrails import GuardrailConfig, HourTally, Observation, PhaseFrame

OPENED_AT = datetime(2025, 3, 1, tzinfo=UTC)
AT_LEAST_TEN_PERCENT = GuardrailConfig(min_acceptance_rate=0.1)


def frame(config: GuardrailConfig = AT_LEAST_TEN_PERCENT, *, hours: float = 6, **overrides: Any) -> PhaseFrame:
    """Return a phase that opened on the hour, judged some hours later, with a minimum sample of 250."""
    values: dict[str, Any] = {"alpha": 0.05, "minimum_sample": 250} | overrides
    return PhaseFrame(OPENED_AT, OPENED_AT + timedelta(hours=hours), config=config, **values)


def hourly(*counts: tuple[int, int]) -> tuple[HourTally, ...]:
    """Return one tally per hour of the phase from its first on: (n, accepted)."""
    return tuple(HourTally(OPENED_AT + timedelta(hours=hour), *each) for hour, each in enumerate(counts))


def variant(key: str, counts: Iterable[tuple[int, int]] = (), **overrides: Any) -> Observation:
    """Return what a variant has shown; `control` is the control's key."""
    values: dict[str, Any] = {
        "is_control": key == "control",
        "has_bundle": True,
        "tallies": hourly(*counts),
    } | overrides
    return Observation(key, **values)
