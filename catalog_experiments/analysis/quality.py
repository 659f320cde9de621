"""Can the telemetry of a phase be trusted now: is it talking, is it fresh, and do orders find their visitors?

Loaded for any number of phases in a constant number of queries; what a verdict makes of it stands in `enforcement`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection

from catalog_experiments.assignment import BUCKETS
from catalog_experiments.hours import hour_of
from catalog_experiments.intake import retention_month, served_spans
from catalog_experiments.models import Experiment, Phase
from catalog_experiments.stats.joins import FEWEST_ORDERS, JoinCounts, has_fallen
from catalog_experiments.stats.silence import (
    HOURS_OF_WEEK,
    Level,
    WeekProfile,
    is_impossible_silence,
    level_windows,
    missing_exposures,
    week_profile,
)

DAY = timedelta(days=1)
HISTORY = 28 * DAY
USUAL_DAYS = 14
FELL_TO = 0.8
HALVED = 0.5

# The months are named once more, here and elsewhere: the planner then leaves all other partitions aside.
LAST_EXPOSURES = """
SELECT wanted.phase_id, seen.exposed_at
FROM unnest(%(phases)s::uuid[], %(months)s::date[]) AS wanted(phase_id, month)
CROSS JOIN LATERAL (
    SELECT exposed_at FROM catalog_bundle_exposures
    WHERE retention_month = wanted.month AND retention_month = ANY(%(months)s)
        AND phase_id = wanted.phase_id AND excluded_as IS NULL AND exposed_at <= %(now)s
    ORDER BY exposed_at DESC LIMIT 1
) seen
"""

# Summed by the hour first: there are as many rows as phases in each, and the hour of the week is slow to tell.
SHOP_WEEK = """
SELECT (extract(isodow FROM hour_at AT TIME ZONE 'UTC')::int - 1) * 24
           + extract(hour FROM hour_at AT TIME ZONE 'UTC')::int AS hour_of_week,
       sum(exposed), min(hour_at)
FROM (
    SELECT hour_at, sum(exposed_count) AS exposed FROM catalog_bundle_experiment_telemetry_hours
    WHERE hour_at >= %s AND hour_at < %s
    GROUP BY hour_at
) AS hours
GROUP BY 1
"""

# What each phase had in the windows it is judged by: two of exposures, two of orders.
SUMS = """
SELECT wanted.phase_id,
       sum(exposed_count) FILTER (WHERE hour_at >= wanted.long_from AND hour_at < wanted.seen_to),
       sum(exposed_count) FILTER (WHERE hour_at >= wanted.short_from AND hour_at < wanted.seen_to),
       sum(joined_count) FILTER (WHERE hour_at >= wanted.recent_from),
       sum(order_count) FILTER (WHERE hour_at >= wanted.recent_from),
       sum(joined_count) FILTER (WHERE hour_at >= wanted.usual_from AND hour_at < wanted.recent_from),
       sum(order_count) FILTER (WHERE hour_at >= wanted.usual_from AND hour_at < wanted.recent_from)
FROM jsonb_to_recordset(%s::jsonb) AS wanted(
    phase_id uuid, long_from timestamptz, short_from timestamptz, seen_to timestamptz,
    recent_from timestamptz, usual_from timestamptz)
JOIN catalog_bundle_experiment_telemetry_hours AS hour
    ON hour.phase_id = wanted.phase_id AND hour.phase_id = ANY(%s)
    AND hour.hour_at >= least(wanted.usual_from, wanted.long_from)
GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class JoinRate:
    """How many orders of the anchor product come from a unit that met the phase: the last 24 hours against before.

    `usual` is the rate of the 14 days before, in [0, 1], None before 100 orders; `coverage` the share of visitors that
    the experiment covers, None where targeting decides: a phase without a usual rate is held to it. The first day of a
    phase is left out: baskets are older.
    """

    recent: JoinCounts
    usual: float | None = None
    coverage: float | None = None

    @property
    def has_dropped(self) -> bool:
        """Say whether a fifth of the usual rate is gone, beyond chance."""
        return self.usual is not None and has_fallen(self.recent, self.usual, to=FELL_TO)

    @property
    def is_halved(self) -> bool:
        """Say whether half of the usual rate, or of what the coverage promises, is gone, beyond chance."""
        expected = self.coverage if self.usual is None else self.usual
        return expected is not None and has_fallen(self.recent, expected, to=HALVED)


@dataclass(frozen=True, slots=True)
class TelemetryQuality:
    """What one phase's telemetry is like now.

    `seen_at` is its last exposure, None before the first. `missing` counts the exposures that should have come since,
    at least: 0 for the first minutes, None while the shop has no week of history to say so. `stale_since` is set when
    the aggregated numbers are older than allowed: as of when they are.
    """

    seen_at: datetime | None = None
    missing: float | None = None
    is_silent: bool = False
    stale_since: datetime | None = None
    join_rate: JoinRate = field(default_factory=lambda: JoinRate(JoinCounts()))


def load_quality(
    phases: Iterable[Phase], *, watermark_at: datetime, aggregated_at: Mapping[uuid.UUID, datetime]
) -> dict[uuid.UUID, TelemetryQuality]:
    """Return the quality of each phase by its id; four queries for any number of them.

    Args:
        phases: those to look at, as they are open now.
        watermark_at: as of when; facts recorded before it are seen.
        aggregated_at: as of when the metric rows of a phase are; absent before the first aggregation.
    """
    known = _still_told_of(phases, watermark_at)
    if not known:
        return {}
    windows = _windows(known, watermark_at)
    sums, coverage = _sums(windows), _coverage(known)
    # The shop's own week is read for those that have been quiet for a while: mostly for nobody.
    profile = _shop_week(watermark_at) if any(each.is_quiet for each in windows.values()) else None
    return {
        phase.pk: _quality(
            windows[phase.pk],
            sums.get(phase.pk, _Sums()),
            profile,
            coverage.get(phase.pk),
            _stale_since(aggregated_at.get(phase.pk), watermark_at),
        )
        for phase in known
    }


def load_arrivals(phases: Iterable[Phase], *, watermark_at: datetime) -> dict[uuid.UUID, TelemetryQuality]:
    """Return what came in of each phase by its id, its last exposure and its joins; two queries for any number of them.

    Whether it is silent or stale is not asked: the shop's week costs more than all else on a page.
    """
    known = _still_told_of(phases, watermark_at)
    windows = _windows(known, watermark_at) if known else {}
    sums = _sums(windows) if known else {}
    return {key: _quality(own, sums.get(key, _Sums()), None, None, None) for key, own in windows.items()}


def _still_told_of(phases: Iterable[Phase], watermark_at: datetime) -> list[Phase]:
    return [phase for phase in phases if phase.closed_at is None or phase.closed_at > watermark_at - DAY]


def _windows(phases: list[Phase], watermark_at: datetime) -> dict[uuid.UUID, _Windows]:
    seen = _last_exposures(phases, watermark_at)
    return {phase.pk: _Windows.of(phase, seen.get(phase.pk), watermark_at) for phase in phases}


@dataclass(frozen=True, slots=True)
class _Windows:
    """The spans one phase is judged by; `silent_from` is None before its first exposure and while it is not served."""

    phase_id: uuid.UUID
    now: datetime
    seen_at: datetime | None
    silent_from: datetime | None
    levels: tuple[tuple[datetime, datetime], ...]
    recent_from: datetime
    usual_from: datetime

    @classmethod
    def of(cls, phase: Phase, seen_at: datetime | None, now: datetime) -> _Windows:
        spans, settled_at = served_spans(phase), phase.opened_at + DAY
        is_served = bool(spans) and spans[-1].end_at is None
        recent_from = max(settled_at, hour_of(now) - DAY)
        return cls(
            phase_id=phase.pk,
            now=now,
            seen_at=seen_at,
            silent_from=max(seen_at, spans[-1].start_at) if seen_at and is_served else None,
            levels=level_windows(phase.opened_at, seen_at or phase.opened_at),
            recent_from=recent_from,
            usual_from=max(settled_at, recent_from - USUAL_DAYS * DAY),
        )

    @property
    def is_quiet(self) -> bool:
        """Say whether nothing came for longer than a moment, while the phase is served."""
        allowed = timedelta(minutes=settings.TELEMETRY_SILENCE_MINUTES)
        return self.silent_from is not None and self.now - self.silent_from >= allowed

    def row(self) -> dict[str, Any]:
        (long_from, seen_to), (short_from, _) = self.levels
        return {
            "phase_id": self.phase_id,
            "long_from": long_from,
            "short_from": short_from,
            "seen_to": seen_to,
            "recent_from": self.recent_from,
            "usual_from": self.usual_from,
        }


class _Sums(NamedTuple):
    exposed_long: int = 0
    exposed_short: int = 0
    recent: JoinCounts = JoinCounts()
    usual: JoinCounts = JoinCounts()


def _quality(
    windows: _Windows,
    sums: _Sums,
    profile: WeekProfile | None,
    coverage: float | None,
    stale_since: datetime | None,
) -> TelemetryQuality:
    missing, is_silent = _silence(windows, sums, profile)
    usual = sums.usual.rate if sums.usual.orders >= FEWEST_ORDERS else None
    return TelemetryQuality(windows.seen_at, missing, is_silent, stale_since, JoinRate(sums.recent, usual, coverage))


def _silence(windows: _Windows, sums: _Sums, profile: WeekProfile | None) -> tuple[float | None, bool]:
    if windows.silent_from is not None and not windows.is_quiet:
        return 0.0, False
    if profile is None or windows.silent_from is None:
        return None, False
    counts = (sums.exposed_long, sums.exposed_short)
    levels = [Level(*window, count) for window, count in zip(windows.levels, counts, strict=True)]
    missing = missing_exposures(profile, levels, silent_from=windows.silent_from, now=windows.now)
    return missing, is_impossible_silence(missing)


def _stale_since(aggregated_at: datetime | None, now: datetime) -> datetime | None:
    if aggregated_at is None or now - aggregated_at <= timedelta(hours=settings.TELEMETRY_STALE_HOURS):
        return None
    return aggregated_at


def _sums(windows: Mapping[uuid.UUID, _Windows]) -> dict[uuid.UUID, _Sums]:
    with connection.cursor() as cursor:
        # The ids are named once more: the planner takes the list for a hundred phases, and would read all hours.
        cursor.execute(SUMS, [orjson.dumps([each.row() for each in windows.values()]).decode(), list(windows)])
        return {
            phase_id: _Sums(counts[0], counts[1], JoinCounts(*counts[2:4]), JoinCounts(*counts[4:]))
            for phase_id, *found in cursor.fetchall()
            for counts in [[int(count or 0) for count in found]]
        }


def _last_exposures(phases: list[Phase], now: datetime) -> dict[uuid.UUID, datetime]:
    months = [retention_month(phase.opened_at) for phase in phases]
    with connection.cursor() as cursor:
        cursor.execute(LAST_EXPOSURES, {"phases": [phase.pk for phase in phases], "months": months, "now": now})
        return dict(cursor.fetchall())


def _shop_week(now: datetime) -> WeekProfile | None:
    # A day is left out, so that the hours of a silence do not pass for usual ones.
    until_at = hour_of(now.astimezone(UTC)) - DAY
    with connection.cursor() as cursor:
        cursor.execute(SHOP_WEEK, [until_at - HISTORY, until_at])
        rows = cursor.fetchall()
    if not rows:
        return None
    totals = Counter({hour: int(count) for hour, count, _ in rows})
    first_at = min(first for _, _, first in rows).astimezone(UTC)
    return week_profile([totals[hour] for hour in range(HOURS_OF_WEEK)], first_at, until_at)


def _coverage(phases: list[Phase]) -> dict[uuid.UUID, float]:
    """Return the share of all visitors that meets each phase, where nothing but coverage and group decides it."""
    shares = ("current_phase", "coverage", "exclusion_group", "exclusion_start", "exclusion_end")
    rows = Experiment.objects.filter(current_phase__in=phases, targeting={}).only(*shares)
    return {own.current_phase_id: _share(own) for own in rows if own.current_phase_id is not None}


def _share(experiment: Experiment) -> float:
    share = experiment.coverage / BUCKETS
    if experiment.exclusion_group_id is None:
        return share
    return share * (experiment.exclusion_end - experiment.exclusion_start) / BUCKETS
