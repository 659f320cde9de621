"""The states merchandisers read, always as icon, word and tone."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalog_experiments.models import Experiment, ExperimentStatus, PauseCause


@dataclass(frozen=True, slots=True)
class State:
    """A state as icon, word and tone; `rank` orders cards, the lowest needs attention first."""

    word: str
    icon: str
    tone: str
    rank: int


COLLECTING = State("Collecting", "hourglass", "info", 5)
HEALTHY = State("Healthy", "tick", "ok", 4)
WATCH = State("Watch", "triangle", "warn", 3)
HOLD = State("On hold", "octagon", "hold", 2)
OUTAGE = State("Outage", "pause", "bad", 1)
BREACHED = State("Breached", "pause", "bad", 1)
PAUSED_BY_GUARDRAIL = State("Paused by guardrail", "pause", "bad", 0)
PAUSED_BY_STOCK = State("Paused: out of stock", "pause", "hold", 1)
PAUSED_BY_RAMP = State("Paused by its ramp", "pause", "warn", 2)
PAUSED = State("Paused by a person", "pause", "mute", 6)
DRAFT = State("Draft", "pen", "mute", 7)
COMPLETED = State("Completed", "flag", "mute", 8)

_BY_VERDICT: Mapping[str, State] = {
    "collecting": COLLECTING,
    "healthy": HEALTHY,
    "watch": WATCH,
    "hold": HOLD,
    "breached": BREACHED,
    "outage": OUTAGE,
}


_BY_CAUSE: Mapping[str, State] = {
    PauseCause.BREACHED: PAUSED_BY_GUARDRAIL,
    PauseCause.OUTAGE: PAUSED_BY_GUARDRAIL,
    PauseCause.STOCK: PAUSED_BY_STOCK,
    PauseCause.SCHEDULE: PAUSED_BY_RAMP,
}


def state_of(experiment: Experiment, verdict: str) -> State:
    """Return the state shown for an experiment whose gravest verdict is `verdict` ('' when none is known)."""
    match experiment.status:
        case ExperimentStatus.DRAFT:
            return DRAFT
        case ExperimentStatus.COMPLETED:
            return COMPLETED
        case ExperimentStatus.PAUSED:
            return _BY_CAUSE.get(experiment.pause_cause, PAUSED)
    return _BY_VERDICT.get(verdict, COLLECTING)


def verdict_state(verdict: str) -> State:
    """Return the badge of one variant's verdict."""
    return _BY_VERDICT.get(verdict, COLLECTING)
