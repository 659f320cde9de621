"""The live canary: an experiment of equal variants on the whole real path, watched for any difference at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from catalog_experiments.analysis.sample_ratio import sample_ratio
from catalog_experiments.analysis.telemetry import PhaseTelemetry, load_telemetry
from catalog_experiments.canary.alarms import end_by_clean_phase, raise_for_phase
from catalog_experiments.models import Experiment, MomentMetric, PhaseOrigin
from catalog_experiments.stats.canary import LIVE_ALPHA, canary_p
from catalog_experiments.stats.looks import look_while_running
from catalog_experiments.stats.moments import VariantMoments

CLEAN_DAYS = 7
"""Days of a new phase without anything red that end an alarm."""


@dataclass(frozen=True, slots=True)
class CanaryRound:
    """What a look at the canaries came to: alarms raised, and alarms that a clean phase ended."""

    raised: int = 0
    ended: int = 0


@dataclass(frozen=True, slots=True)
class CanaryEvidence:
    """What speaks against equal variants being measured as equal, in one phase; p-values may be read at any time.

    Both are None while there is too little to judge. `met_days` counts the UTC days on which every variant was met.
    """

    sample_ratio_p: float | None
    conversion_p: float | None
    exposed: dict[str, int]
    buyers: dict[str, tuple[int, int]]
    met_days: int

    @property
    def findings(self) -> tuple[str, ...]:
        """What is red, in sentences; empty while all is well."""
        return tuple(self._findings())

    def _findings(self) -> Iterator[str]:
        if _is_red(self.sample_ratio_p):
            met = " : ".join(f"{count:,}" for count in self.exposed.values())
            yield f"The canary's equal variants met {met} visitors, not as planned."
        if _is_red(self.conversion_p):
            shares = ", ".join(f"{key} {bought:,} of {n:,}" for key, (bought, n) in self.buyers.items())
            yield f"The canary's equal variants differ in conversion: {shares} visitors bought."

    def as_json(self) -> dict[str, Any]:
        """Return the numbers for the alarm's row."""
        return {
            "sample_ratio_p": self.sample_ratio_p,
            "conversion_p": self.conversion_p,
            "exposed": self.exposed,
            "buyers": {key: list(counts) for key, counts in self.buyers.items()},
        }


def watch_canaries(*, now: datetime) -> CanaryRound:
    """Look at every canary's open phase: raise what is red, and end what a new phase of seven clean days answers.

    Reads what the aggregation has counted of the canaries themselves, nothing of another experiment. Safe to repeat.
    """
    live = Experiment.objects.measured().filter(is_canary=True, current_phase__origin=PhaseOrigin.PUBLISHED)
    canaries = list(live.select_related("current_phase").order_by("pk"))
    rounds = [_look_at(telemetry, now) for telemetry in _telemetry(canaries, now)]
    return CanaryRound(sum(own.raised for own in rounds), sum(own.ended for own in rounds))


def evidence_of(telemetry: PhaseTelemetry) -> CanaryEvidence:
    """Weigh what was counted in a canary's phase: its split, and conversion over its complete units."""
    phase = telemetry.phase
    ratio = sample_ratio(phase.variants, telemetry.exposed_by_day, is_final=False)
    moments = {
        variant["key"]: telemetry.pool.complete_of(variant["key"], MomentMetric.CONVERSION).outcome
        for variant in phase.variants
    }
    control, *tests = moments.values()
    planned = look_while_running(phase.planned_sample_size).planned_units
    return CanaryEvidence(
        sample_ratio_p=ratio.p_value if ratio else None,
        conversion_p=canary_p(control, tests, planned),
        exposed={key: row.exposed_count for key in moments if (row := telemetry.metrics.get(key))},
        buyers={key: _counts(own) for key, own in moments.items()},
        met_days=len(_met_days(telemetry)),
    )


def _telemetry(canaries: list[Experiment], now: datetime) -> list[PhaseTelemetry]:
    return list(load_telemetry(canaries, now=now).values()) if canaries else []


def _look_at(telemetry: PhaseTelemetry, now: datetime) -> CanaryRound:
    phase, evidence = telemetry.phase, evidence_of(telemetry)
    if evidence.findings:
        alarm = raise_for_phase(phase, " ".join(evidence.findings), evidence.as_json(), now=now)
        return CanaryRound(raised=int(alarm is not None))
    if evidence.met_days >= CLEAN_DAYS and now - phase.opened_at >= timedelta(days=CLEAN_DAYS):
        return CanaryRound(ended=len(end_by_clean_phase(phase, CLEAN_DAYS, now=now)))
    return CanaryRound()


def _met_days(telemetry: PhaseTelemetry) -> list[date]:
    """Return the days on which every variant was met by somebody new: a day without is no clean day."""
    keys, before, met = [variant["key"] for variant in telemetry.phase.variants], dict[str, int](), []
    for day, counts in sorted(telemetry.exposed_by_day.items()):
        now = {**before, **counts}
        if all(now.get(key, 0) > before.get(key, 0) for key in keys):
            met.append(day)
        before = now
    return met


def _counts(moments: VariantMoments) -> tuple[int, int]:
    return int(moments.total), moments.n


def _is_red(p_value: float | None) -> bool:
    return p_value is not None and p_value <= LIVE_ALPHA
