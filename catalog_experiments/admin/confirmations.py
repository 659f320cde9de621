"""Whether the storefront was seen to serve what was published, as a line on a card."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from catalog_experiments.models import Experiment, ExperimentStatus, LiveConfirmation

_SERVED = {
    ExperimentStatus.RUNNING: "Live",
    ExperimentStatus.PAUSED: "Control",
    ExperimentStatus.COMPLETED: "Outcome",
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """What to show of a promise: an icon's name, a tone of the style sheet, and a sentence."""

    icon: str
    tone: str
    sentence: str


def newest_sightings(experiments: Iterable[Experiment]) -> dict[Any, Sighting]:
    """Return what became of each experiment's newest promise, by experiment id, in one query; absent without one."""
    kept = LiveConfirmation.objects.filter(experiment__in=list(experiments))
    newest = kept.order_by("experiment_id", "-document_version").distinct("experiment_id")
    return {row.experiment_id: sighting_of(row) for row in newest}


def sighting_of(row: LiveConfirmation) -> Sighting:
    """Put one promise into words; times are UTC."""
    served = _SERVED.get(ExperimentStatus(row.status), "Change")
    if row.confirmed_at is not None and row.delay is not None:
        after = f"after {max(1, round(row.delay.total_seconds()))} s"
        return Sighting("tick", "ok", f"{served} confirmed at {_clock(row.confirmed_at)}, {after}")
    if row.problem:
        return Sighting("triangle", "bad", f"{served} not confirmed since {_clock(row.promised_at)}: {row.problem}")
    if row.next_look_at is None:
        return Sighting("triangle", "warn", f"{served} was never confirmed")
    return Sighting("hourglass", "mute", f"{served} not confirmed yet")


def _clock(moment: dt.datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"
