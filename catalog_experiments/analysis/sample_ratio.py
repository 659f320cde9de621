"""Do the variants hold the planned shares of the exposed units? Live a sequential monitor, finally a chi-square.

At the end two more are held against each other: units that were left out because they saw two variants, by the one that
was computed for them; and buyers whom no exposure is known of, who must be missing from all variants alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from catalog_experiments.analysis.unexposed import Buyers
from catalog_experiments.stats.sequential import always_valid_p
from catalog_experiments.stats.srm import LIVE_ALPHA, chi_square, log_live_e, same_shares


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


FEWEST_EXPECTED = 5
"""Units that a variant must be expected to have for a chi-square to say anything."""


@dataclass(frozen=True, slots=True)
class LeftOutRatios:
    """The final checks of those whom the sample ratio leaves out; a ratio is None while there are too few of them.

    `mixed` are units seen with two variants, by the computed one, against the planned shares. `unmet` are buyers
    without an exposure by the variant that an order names, against the buyers who were met and name one: it takes a
    bought offer to be named, so the planned shares would find a better offer, not a loss. `buyers` holds the counts of
    both and of those who name none; None where the exposures were retired.
    """

    mixed: SrmReport | None
    unmet: SrmReport | None
    buyers: Buyers | None


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


def left_out_ratios(
    variants: Sequence[Mapping[str, Any]], mixed: Mapping[str, int], buyers: Buyers | None
) -> LeftOutRatios:
    """Return the final checks of mixed units, counted by the computed variant, and of buyers without an exposure."""
    shares = {key: share for key, share in planned_shares(variants).items() if share > 0}
    counts = tuple(mixed.get(key, 0) for key in shares)
    is_enough = bool(shares) and sum(counts) * min(shares.values()) >= FEWEST_EXPECTED
    by_plan = final_ratio(counts, tuple(shares.values())) if is_enough else None
    return LeftOutRatios(by_plan, _unmet_ratio(list(shares), buyers) if buyers else None, buyers)


def _unmet_ratio(keys: Sequence[str], buyers: Buyers) -> SrmReport | None:
    unmet, met = (tuple(own.get(key, 0) for key in keys) for own in (buyers.unmet, buyers.met))
    pooled = tuple(left + right for left, right in zip(unmet, met, strict=True))
    shares = tuple(count / max(1, sum(pooled)) for count in pooled)
    least = min((share for share in shares if share > 0), default=0.0)
    result = same_shares(unmet, met)
    if result is None or min(sum(unmet), sum(met)) * least < FEWEST_EXPECTED:
        return None
    is_mismatch = result.p_value <= LIVE_ALPHA
    return SrmReport("chi_square", unmet, shares, result.p_value, is_mismatch, statistic=result.statistic)


def _daily_counts(exposed_by_day: Mapping[date, Mapping[str, int]], keys: Sequence[str]) -> list[tuple[int, ...]]:
    before, daily = dict.fromkeys(keys, 0), []
    for day in sorted(exposed_by_day):
        now = {key: exposed_by_day[day].get(key, before[key]) for key in keys}
        # Erased or merged units may make a later total smaller; a day never counts less than nothing.
        daily.append(tuple(max(0, now[key] - before[key]) for key in keys))
        before = now
    return daily
