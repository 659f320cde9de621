"""Do the variants hold the planned shares of the exposed units? Live a sequential monitor, finally a chi-square."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from catalog_experiments.stats.sequential import always_valid_p
from catalog_experiments.stats.srm import LIVE_ALPHA, chi_square, log_live_e


@dataclass(frozen=True, slots=True)
class SrmReport:
    """The sample ratio: exposed units and planned shares (summing to 1) per variant, control first.

    `method` is `sequential` (may be looked at any time; `log_e` is its evidence) or `chi_square` (looked at once, at
    the end; `statistic` is its value). A mismatch stands at p at or below 0.001: then no result can be trusted.
    """

    method: str
    counts: tuple[int, ...]
    planned_shares: tuple[float, ...]
    p_value: float
    is_mismatch: bool
    statistic: float | None = None
    log_e: float | None = None


def planned_shares(variants: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return each variant's share of the units by key, from a phase's snapshot; all weights zero means equal.

    >>> planned_shares([{"key": "control", "weight": 0}, {"key": "test", "weight": 0}])
    {'control': 0.5, 'test': 0.5}
    """
    whole = sum(variant["weight"] for variant in variants)
    return {variant["key"]: variant["weight"] / whole if whole else 1 / len(variants) for variant in variants}


def sample_ratio(
    variants: Sequence[Mapping[str, Any]], exposed_by_day: Mapping[date, Mapping[str, int]], *, is_final: bool
) -> SrmReport | None:
    """Return the sample ratio of a phase; None without exposures or with fewer than two variants that get any.

    Args:
        variants: the phase's snapshot, control first.
        exposed_by_day: cumulative exposed units by UTC day and variant key.
        is_final: the one look at the end, instead of the live monitor.
    """
    shares = {key: share for key, share in planned_shares(variants).items() if share > 0}
    daily = _daily_counts(exposed_by_day, list(shares))
    counts = tuple(sum(column) for column in zip(*daily, strict=True))
    if len(shares) < 2 or not sum(counts):
        return None
    if is_final:
        return final_ratio(counts, tuple(shares.values()))
    return live_ratio(daily, tuple(shares.values()))


def live_ratio(daily_counts: Sequence[Sequence[int]], shares: tuple[float, ...]) -> SrmReport:
    """Return the sequential monitor's view of first exposures per day of the phase and variant, oldest day first."""
    log_e = log_live_e(daily_counts, shares)
    counts = tuple(sum(column) for column in zip(*daily_counts, strict=True))
    is_mismatch = log_e >= -math.log(LIVE_ALPHA)
    return SrmReport("sequential", counts, shares, always_valid_p(log_e), is_mismatch, log_e=log_e)


def final_ratio(counts: tuple[int, ...], shares: tuple[float, ...]) -> SrmReport | None:
    """Return the chi-square view of all exposed units; None without units."""
    result = chi_square(counts, shares)
    if result is None:
        return None
    is_mismatch = result.p_value <= LIVE_ALPHA
    return SrmReport("chi_square", counts, shares, result.p_value, is_mismatch, statistic=result.statistic)


def _daily_counts(exposed_by_day: Mapping[date, Mapping[str, int]], keys: Sequence[str]) -> list[tuple[int, ...]]:
    before, daily = dict.fromkeys(keys, 0), []
    for day in sorted(exposed_by_day):
        now = {key: exposed_by_day[day].get(key, before[key]) for key in keys}
        # Erased or merged units may make a later total smaller; a day never counts less than nothing.
        daily.append(tuple(max(0, now[key] - before[key]) for key in keys))
        before = now
    return daily
