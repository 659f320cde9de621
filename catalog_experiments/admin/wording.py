"""The words merchandisers read: numbers as text, states, reasons and next steps. No jargon, full sentences."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalog_experiments.models import Experiment, ExperimentStatus, PauseCause

_NONE = "–"
_MINUS = "−"


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
BREACHED = State("Breached", "pause", "bad", 1)
PAUSED_BY_GUARDRAIL = State("Paused by guardrail", "pause", "bad", 0)
PAUSED = State("Paused by a person", "pause", "mute", 6)
DRAFT = State("Draft", "pen", "mute", 7)
COMPLETED = State("Completed", "flag", "mute", 8)

_BY_VERDICT: Mapping[str, State] = {
    "collecting": COLLECTING,
    "healthy": HEALTHY,
    "watch": WATCH,
    "hold": HOLD,
    "breached": BREACHED,
    "outage": BREACHED,
}


def state_of(experiment: Experiment, verdict: str) -> State:
    """Return the state shown for an experiment whose gravest verdict is `verdict` ('' when none is known)."""
    match experiment.status:
        case ExperimentStatus.DRAFT:
            return DRAFT
        case ExperimentStatus.COMPLETED:
            return COMPLETED
        case ExperimentStatus.PAUSED:
            by_machine = experiment.pause_cause in (PauseCause.BREACHED, PauseCause.OUTAGE)
            return PAUSED_BY_GUARDRAIL if by_machine else PAUSED
    return _BY_VERDICT.get(verdict, COLLECTING)


def verdict_state(verdict: str) -> State:
    """Return the badge of one variant's verdict."""
    return _BY_VERDICT.get(verdict, COLLECTING)


def rate_text(value: float | None) -> str:
    """Write 0.0734 as '7.34 %', or an en dash for None."""
    return _NONE if value is None else f"{100 * float(value):.2f} %"


def lift_text(value: float | None) -> str:
    """Write 0.093 as '+9.3 %' and -0.348 as '−34.8 %' with a true minus sign, or an en dash for None."""
    if value is None:
        return _NONE
    sign = _MINUS if value < 0 else "+"
    return f"{sign}{abs(100 * float(value)):.1f} %"


def range_text(interval: tuple[float, float] | None) -> str:
    """Write a lift interval as 'likely −2.0 % to +16.3 %', or '' for None."""
    return "" if interval is None else f"likely {lift_text(interval[0])} to {lift_text(interval[1])}"


def money_text(minor: float | None, currency: str) -> str:
    """Write minor units as '3.75 EUR', or an en dash for None."""
    return _NONE if minor is None else f"{minor / 100:,.2f} {currency}"


def times_text(factor: float) -> str:
    """Write an evidence factor: '44×', '3.9×', 'none' below 1, and 'over 1,000,000×' at the top."""
    if factor < 1:
        return "none"
    if factor > 1_000_000:
        return "over 1,000,000×"
    return f"{factor:,.0f}×" if factor >= 10 else f"{factor:.1f}×"
