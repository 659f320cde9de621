"""One round over everything that is due, each experiment in a transaction of its own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import OperationalError
from psycopg.errors import LockNotAvailable

from catalog_experiments import ramping
from catalog_experiments.models import Experiment, PhaseOrigin, RampState
from catalog_experiments.timetable.canaries import due_canaries, renew_canary
from catalog_experiments.timetable.moments import due_ends, due_starts, end_due, start_due
from catalog_experiments.timetable.samples import due_samples, tell_sample

logger = logging.getLogger(__name__)

Act = Callable[[UUID, datetime], str]
"""Does what is due of one experiment; returns what was done, "" when it was no longer due."""


@dataclass(frozen=True, slots=True)
class TimetableResult:
    """What a round did: how often each kind of step was taken, such as `{"started": 1}`."""

    done: Mapping[str, int]


class StepsFailed(RuntimeError):
    """Steps of some experiments failed; the others were taken. What failed stays due."""

    def __init__(self, errors: Iterable[str]) -> None:
        """Join "id: what went wrong" of each."""
        super().__init__("; ".join(errors))


def act_due(*, now: datetime) -> TimetableResult:
    """Do everything that is due, ends first, so that a start may take the slot that an end gives up.

    Safe to repeat and under any number of callers.

    Raises:
        StepsFailed: after the round, when a step failed for another reason than a refused preflight.
    """
    done, errors = Counter[str](), list[str]()
    for due, act in ROUND:
        for experiment_id in due(now):
            outcome, error = _attempt(act, experiment_id, now)
            done.update([outcome] if outcome else [])
            errors += [error] if error else []
    if errors:
        raise StepsFailed(errors)
    return TimetableResult(dict(done))


def due_ramps(now: datetime) -> list[UUID]:
    """Return the running experiments whose ramp climbs."""
    climbing = Experiment.objects.running().filter(
        ramp_state=RampState.CLIMBING, current_phase__origin=PhaseOrigin.PUBLISHED
    )
    return list(climbing.order_by("pk").values_list("pk", flat=True))


def step_ramp(experiment_id: UUID, now: datetime) -> str:
    """Judge a climbing ramp and make its move."""
    move = ramping.step(experiment_id, now=now)
    return "" if move == ramping.Move.WAIT else f"ramp_{move}"


ROUND: tuple[tuple[Callable[[datetime], list[UUID]], Act], ...] = (
    (due_ends, end_due),
    (due_starts, start_due),
    (due_samples, tell_sample),
    (due_ramps, step_ramp),
    (due_canaries, renew_canary),
)


def _attempt(act: Act, experiment_id: UUID, now: datetime) -> tuple[str, str]:
    """Return what was done and what went wrong; of a row that somebody else holds, nothing: it stays due."""
    try:
        return act(experiment_id, now), ""
    except Exception as error:  # whatever it is, the next experiment's moment must still come
        if isinstance(error, OperationalError) and isinstance(error.__cause__, LockNotAvailable):
            return "", ""
        logger.exception("a due step of experiment %s failed", experiment_id)
        return "", f"{experiment_id}: {type(error).__name__}: {error}"
