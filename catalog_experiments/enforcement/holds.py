"""Why data cannot be trusted now: a hold stops ordinary pauses and ship verdicts, never an outage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime

from catalog_experiments.analysis.sample_ratio import live_ratio, planned_shares
from catalog_experiments.enforcement.frame import FRESH, HOUR, EvaluationFrame
from catalog_experiments.hours import hour_of

SAMPLE_RATIO = "sample_ratio_mismatch"
MIXED_UNITS = "mixed_units"
CLIENT_FAULTS = "client_faults"
TELEMETRY_SILENT = "telemetry_silent"
AGGREGATION_STALE = "aggregation_stale"
JOIN_RATE_HALVED = "join_rate_halved"
READING_STALE = "reading_stale"
CANARY_RED = "canary_red"

LATCHED = frozenset({SAMPLE_RATIO, MIXED_UNITS, CLIENT_FAULTS})
"""Holds that stay until a person opens a new phase: a past imbalance stays in the data."""

WORST_SHARE = 0.01
FEWEST_UNITS = 100
SILENT_HOURS = 3
BUSY_PER_HOUR = 20
DAY_HOURS = 24
DAY = DAY_HOURS * HOUR


def holds_of(frame: EvaluationFrame) -> tuple[str, ...]:
    """Return the causes that hold now, latched ones first; those found before in this phase stay."""
    before = set(frame.previous.inputs["holds"]) if frame.previous else set()
    found = set(_causes(frame)) | (before & LATCHED)
    return tuple(sorted(found, key=lambda cause: (cause not in LATCHED, cause)))


def _causes(frame: EvaluationFrame) -> Iterator[str]:
    if _is_ratio_off(frame):
        yield SAMPLE_RATIO
    mixed, faults = _flagged(frame, "mixed_count"), _flagged(frame, "fault_count")
    units = sum(row.exposed_count for row in frame.metrics.values()) + mixed + faults
    if units >= FEWEST_UNITS:
        yield from [MIXED_UNITS] if mixed > WORST_SHARE * units else []
        yield from [CLIENT_FAULTS] if faults > WORST_SHARE * units else []
    if _is_silent(frame):
        yield TELEMETRY_SILENT
    if frame.quality.stale_since is not None:
        yield AGGREGATION_STALE
    if frame.quality.join_rate.is_halved:
        yield JOIN_RATE_HALVED
    if frame.age > FRESH:
        yield READING_STALE
    if frame.is_canary_red:
        yield CANARY_RED


def _flagged(frame: EvaluationFrame, key: str) -> int:
    # Units left out of every count, so the row's exposed units do not hold them.
    return sum(int(row.metadata.get(key, 0)) for row in frame.metrics.values())


def _is_ratio_off(frame: EvaluationFrame) -> bool:
    shares = {key: share for key, share in planned_shares(frame.phase.variants).items() if share > 0}
    if len(shares) < 2 or not frame.exposures:
        return False
    return live_ratio(daily_counts(frame, list(shares)), tuple(shares.values())).is_mismatch


def daily_counts(frame: EvaluationFrame, keys: list[str]) -> list[tuple[int, ...]]:
    """Return first exposures by day of the phase and variant; entry 0 is the time before day block 1 opened.

    Day k opens at every 24th hour boundary, as the guardrails' own blocks do, so hours that a record merged stay in it.
    """
    first_boundary, days = _first_boundary(frame.phase.opened_at), defaultdict[int, list[int]](lambda: [0] * len(keys))
    for hour_at, by_variant in frame.exposures.items():
        counts = days[max(0, (hour_at + HOUR - first_boundary) // DAY)]
        for place, key in enumerate(keys):
            counts[place] += by_variant.get(key, 0)
    return [tuple(days[day]) for day in range(max(days) + 1)]


def _first_boundary(opened_at: datetime) -> datetime:
    return hour_of(opened_at) + HOUR


def _is_silent(frame: EvaluationFrame) -> bool:
    """Say whether exposures stopped: by the shop's own week, or by a flat rule while it has not had one yet.

    The flat rule: nothing for three whole hours after a day of twenty and more an hour.
    """
    if frame.quality.missing is not None:
        return frame.quality.is_silent
    silent_from = frame.judged_at - SILENT_HOURS * HOUR
    if silent_from - DAY_HOURS * HOUR < frame.phase.opened_at:
        return False
    recent = _exposed_between(frame.exposures, silent_from, frame.watermark_at)
    before = _exposed_between(frame.exposures, silent_from - DAY_HOURS * HOUR, silent_from)
    return recent == 0 and before >= DAY_HOURS * BUSY_PER_HOUR


def _exposed_between(exposures: Mapping[datetime, Mapping[str, int]], start_at: datetime, end_at: datetime) -> int:
    return sum(sum(counts.values()) for hour_at, counts in exposures.items() if start_at <= hour_at < end_at)
