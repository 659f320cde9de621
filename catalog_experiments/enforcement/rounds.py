"""One round over all running experiments: what is quiet is recorded together, what is not is acted on one by one."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from catalog_experiments.aggregation import refresh_tallies
from catalog_experiments.enforcement.evaluation import (
    EvaluationOutcome,
    act,
    evaluate,
    is_judged,
    is_quiet,
    record_quiet,
)
from catalog_experiments.enforcement.failures import clear_failures, record_failure
from catalog_experiments.enforcement.frame import FRESH, EvaluationFrame, load_frames
from catalog_experiments.enforcement.judgement import Judgement, judge_frame
from catalog_experiments.models import Experiment
from catalog_experiments.stock import StockResult, guard_stock

logger = logging.getLogger(__name__)

SLICE = 50
"""Quiet experiments recorded in one transaction."""


@dataclass(frozen=True, slots=True)
class TickResult:
    """What one round over all running experiments came to; `errors` holds "slug: what went wrong"."""

    evaluated: int
    paused: int
    alerts: int
    errors: tuple[str, ...] = ()


def evaluate_due(*, now: datetime, trigger: str = "schedule") -> TickResult:
    """Judge every running experiment; one that fails never stops the rest.

    First come offers that are out of stock. Each pause and each alert has a transaction of its own. Records of
    experiments that need neither are appended together, so that a quiet round costs a constant number of statements.
    """
    stock = _guarded_stock(now)
    running = Experiment.objects.running().select_related("current_phase").order_by("pk")
    experiments = [experiment for experiment in running if is_judged(experiment)]
    this_round = _Round(now, trigger)
    frames = _fresh_frames(experiments, now)
    for experiment in experiments:
        this_round.look_at(experiment, frames.get(experiment.pk))
    this_round.record_quiet_ones()
    outcomes = this_round.outcomes
    return TickResult(
        evaluated=len(outcomes),
        paused=sum(outcome.paused for outcome in outcomes) + stock.paused,
        alerts=sum(outcome.alerts for outcome in outcomes) + stock.alerts,
        errors=(*stock.errors, *this_round.errors),
    )


@dataclass
class _Round:
    """A round while it goes on; `read_at` is the monotonic clock when its data was read."""

    now: datetime
    trigger: str
    read_at: float = field(default_factory=time.monotonic)
    outcomes: list[EvaluationOutcome] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    quiet: list[Judgement] = field(default_factory=list)

    def look_at(self, experiment: Experiment, frame: EvaluationFrame | None) -> None:
        """Judge an experiment and act, or leave its record for later; without a frame it is read by itself."""

        def judged() -> EvaluationOutcome | None:
            if frame is None:
                return evaluate(experiment.pk, now=self.now, trigger=self.trigger)
            judgement = judge_frame(frame)
            if is_quiet(judgement) and not judgement.is_unchanged:
                self.quiet.append(judgement)
                return None
            return self._act(judgement)

        self._try(experiment, judged)

    def record_quiet_ones(self) -> None:
        """Record the quiet judgements in slices; where a slice fails, each by itself."""
        for start in range(0, len(self.quiet), SLICE):
            some = self.quiet[start : start + SLICE]
            try:
                self.outcomes += record_quiet(some, now=self.now, trigger=self.trigger)
            except Exception:
                logger.exception("%d quiet experiments could not be recorded together; each is tried by itself", SLICE)
                for judgement in some:
                    self._try(judgement.frame.experiment, partial(self._act, judgement))

    def _act(self, judgement: Judgement) -> EvaluationOutcome:
        """Act on a judgement; on a fresh one where the round has gone on for longer than its data stays fresh."""
        elapsed = timedelta(seconds=time.monotonic() - self.read_at)
        if elapsed > FRESH and not judgement.is_unchanged:
            return evaluate(judgement.frame.experiment.pk, now=self.now + elapsed, trigger=self.trigger)
        return act(judgement, now=self.now, trigger=self.trigger)

    def _try(self, experiment: Experiment, work: Callable[[], EvaluationOutcome | None]) -> None:
        try:
            outcome = work()
            clear_failures(experiment)
            self.outcomes += [outcome] if outcome else []
        except Exception as error:  # whatever it is, the next experiment's guardrails must still be looked at
            logger.exception("guardrails of %s could not be judged", experiment.slug)
            record_failure(experiment, error, now=self.now)
            self.errors.append(f"{experiment.slug}: {type(error).__name__}: {error}")


def _guarded_stock(now: datetime) -> StockResult:
    try:
        return guard_stock(now=now)
    except Exception as error:  # the guardrails must be looked at all the same
        logger.exception("the stock of the offers could not be looked at")
        return StockResult(errors=(f"stock: {type(error).__name__}: {error}",))


def _fresh_frames(experiments: Sequence[Experiment], now: datetime) -> Mapping[uuid.UUID, EvaluationFrame]:
    """Load all frames at once; empty when that fails, so that each experiment is then tried by itself."""
    if not experiments:
        return {}
    try:
        watermark_at = refresh_tallies([experiment.pk for experiment in experiments], now=now)
        return load_frames(experiments, watermark_at=watermark_at, now=now)
    except Exception:
        logger.exception("the running experiments could not be refreshed together; each is tried by itself")
        return {}
