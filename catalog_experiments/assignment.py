"""Which variant a unit belongs to: salt and unit id in, bucket and variant out.

First step of the walk. The hash and the range rules are those of the GrowthBook SDKs (hash version 2), so an unmodified
SDK that reads our payload assigns the same variant as this server. Pure: no clock, no randomness, no storage.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import gcd

from fnv_hash_fast import fnv1a_32

BUCKETS = 10_000
"""Buckets of a salt; one bucket is one basis point of the traffic."""

Range = tuple[int, int]
"""Half-open range of buckets `(start, end)`, in basis points."""

ShareRange = tuple[float, float]
"""The same as shares of the traffic, in [0, 1], as GrowthBook writes them."""

_OFFSET_BASIS = 0x811C9DC5
_PRIME = 0x01000193
_MASK = 0xFFFFFFFF
_NATIVE_UTF16 = f"utf-16-{sys.byteorder[0]}e"


class AllocationError(ValueError):
    """The weights or the coverage cannot be laid out in whole buckets; the message names the remedy."""


def bucket(salt: str, unit_id: str) -> int:
    """Return the bucket of a unit under a salt, in [0, 9999].

    The same pair gives the same bucket on every machine and in every SDK; another salt gives an unrelated one.

    Assumes: the salt belongs to one phase and never changes in it.
    Source: GrowthBook SDK build guide, hash version 2: `fnv1a32(str(fnv1a32(seed + value))) % 10000`.

    >>> bucket("seed", "a"), bucket("seed", "b")
    (505, 2696)
    """
    return fnv1a32(str(fnv1a32(salt + unit_id))) % BUCKETS


def growthbook_hash(seed: str, value: str, version: int) -> float | None:
    """Return GrowthBook's hash of a value: a share in [0, 1), or None for a version other than 1 and 2.

    Version 1 has three decimals and puts the value before the seed; version 2 has four (see `bucket`).

    >>> growthbook_hash("", "a", 1), growthbook_hash("seed", "a", 2), growthbook_hash("abc", "def", 99)
    (0.22, 0.0505, None)
    """
    if version == 2:
        return bucket(seed, value) / BUCKETS
    if version == 1:
        return fnv1a32(value + seed) % 1000 / 1000
    return None


def fnv1a32(text: str) -> int:
    """Return the 32-bit FNV-1a hash over the UTF-16 code units of a text, as JavaScript SDKs compute it.

    Source: Fowler, Noll, Vo (1991); GrowthBook feeds whole 16-bit code units, not bytes.

    >>> fnv1a32(""), fnv1a32("a"), fnv1a32("€")
    (2166136261, 3826002220, 2839424075)
    """
    return fnv1a_32(text.encode("ascii")) if text.isascii() else _over_code_units(text)


def _over_code_units(text: str) -> int:
    state = _OFFSET_BASIS
    # JavaScript strings may hold lone surrogates: they must hash, not fail.
    for unit in memoryview(text.encode(_NATIVE_UTF16, "surrogatepass")).cast("H"):
        state = (state ^ unit) * _PRIME & _MASK
    return state


def choose_variant(ranges: Sequence[Range], unit_bucket: int) -> int | None:
    """Return the position of the variant whose range holds the bucket, or None when the unit is not enrolled.

    >>> choose_variant([(0, 2500), (5000, 7500)], 5000), choose_variant([(0, 2500), (5000, 7500)], 2500)
    (1, None)
    """
    for position, (start, end) in enumerate(ranges):
        if start <= unit_bucket < end:
            return position
    return None


def in_ranges(unit_bucket: int, ranges: Iterable[Range]) -> bool:
    """Say whether a bucket lies in any of the ranges: the filter of an exclusion group or a holdout.

    >>> in_ranges(3999, [(0, 1000), (2000, 4000)]), in_ranges(4000, [(0, 1000), (2000, 4000)])
    (True, False)
    """
    return any(start <= unit_bucket < end for start, end in ranges)


def reduced_weights(weights: Sequence[int]) -> tuple[int, ...]:
    """Return the weights divided by their greatest common divisor; all zero means equal.

    Raises:
        AllocationError: no weights, a negative one, only some zero, or a reduced sum above 10,000.

    >>> reduced_weights([50, 50]), reduced_weights([0, 0, 0]), reduced_weights([20, 30, 50])
    ((1, 1), (1, 1, 1), (2, 3, 5))
    """
    if not weights:
        raise AllocationError("There is no variant to give traffic to; add a control and a test variant.")
    if min(weights) < 0:
        raise AllocationError(f"The weight {min(weights)} is negative; use a whole number above zero.")
    if not any(weights):
        return (1,) * len(weights)
    if not all(weights):
        raise AllocationError("Only some weights are zero; give every variant a weight, or all of them zero for equal.")
    divisor = gcd(*weights)
    reduced = tuple(weight // divisor for weight in weights)
    if sum(reduced) > BUCKETS:
        raise AllocationError(
            f"The weights reduce to a sum of {sum(reduced)}, more than {BUCKETS} buckets; use rounder weights."
        )
    return reduced


def coverage_step(weights: Sequence[int]) -> int:
    """Return the step of the allowed coverages in basis points: the sum of the reduced weights.

    >>> coverage_step([50, 50]), coverage_step([1, 1, 1]), coverage_step([20, 30, 50])
    (2, 3, 10)
    """
    return sum(reduced_weights(weights))


def full_coverage(weights: Sequence[int]) -> int:
    """Return the largest coverage that keeps the exact ratio, in basis points; it is shown as full.

    >>> full_coverage([50, 50]), full_coverage([1, 1, 1])
    (10000, 9999)
    """
    step = coverage_step(weights)
    return BUCKETS - BUCKETS % step


def nearest_coverage(weights: Sequence[int], coverage: int) -> int:
    """Return the allowed coverage nearest to the wanted one, in basis points; of two equally near the lower.

    >>> nearest_coverage([1, 1, 1], 1000), nearest_coverage([1, 1], 5), nearest_coverage([1, 1], 20000)
    (999, 4, 10000)
    """
    step = coverage_step(weights)
    nearest = (coverage + (step - 1) // 2) // step * step
    return min(max(nearest, 0), full_coverage(weights))


def allowed_coverage(weights: Sequence[int], coverage: int) -> int:
    """Return the coverage that applies, in basis points; 10,000 always means full.

    Raises:
        AllocationError: the coverage is no multiple of the step; the message names the nearest.

    >>> allowed_coverage([1, 1, 1], 10000), allowed_coverage([1, 1], 500)
    (9999, 500)
    """
    if coverage == BUCKETS:
        return full_coverage(weights)
    step = coverage_step(weights)
    if 0 <= coverage < BUCKETS and coverage % step == 0:
        return coverage
    nearest = nearest_coverage(weights, coverage)
    raise AllocationError(
        f"A coverage of {coverage} basis points does not split exactly by these weights (steps of {step}); "
        f"the nearest that does is {nearest}."
    )


def allocation(weights: Sequence[int], coverage: int = BUCKETS) -> tuple[Range, ...]:
    """Return each variant's range of buckets, in the order of the weights.

    Widths stand in the exact ratio of the weights. A range keeps its start when coverage grows, so raising coverage
    only adds units and moves nobody.

    Args:
        weights: relative whole numbers; all zero means equal.
        coverage: basis points of the traffic, 0 to 10,000; 10,000 means full.

    Raises:
        AllocationError: weights or coverage do not fit whole buckets.

    >>> allocation([1, 1]), allocation([1, 1], 5000), allocation([20, 30, 50], 2000)
    (((0, 5000), (5000, 10000)), ((0, 2500), (5000, 7500)), ((0, 400), (2000, 2600), (5000, 6000)))
    """
    reduced = reduced_weights(weights)
    units_of_width = allowed_coverage(weights, coverage) // sum(reduced)
    starts = (BUCKETS * before // sum(reduced) for before in accumulate(reduced, initial=0))
    return tuple((start, start + units_of_width * weight) for start, weight in zip(starts, reduced, strict=False))


def equal_weights(count: int) -> tuple[float, ...]:
    """Return equal shares for a number of variants; empty below one.

    >>> equal_weights(4), equal_weights(0)
    ((0.25, 0.25, 0.25, 0.25), ())
    """
    return (1 / count,) * count if count > 0 else ()


def share_ranges(count: int, coverage: float, weights: Sequence[float] | None = None) -> tuple[ShareRange, ...]:
    """Return ranges as GrowthBook computes them from shares, for payloads that carry no explicit ranges.

    Coverage is clamped to [0, 1]; weights of the wrong number, or whose sum is off by more than 0.01, count as equal.

    Source: GrowthBook SDK build guide, `getBucketRanges`.

    >>> share_ranges(2, 0.5), share_ranges(2, 1, [0.4, 0.6])
    (((0.0, 0.25), (0.5, 0.75)), ((0.0, 0.4), (0.4, 1.0)))
    """
    coverage = min(max(coverage, 0.0), 1.0)
    shares = tuple(weights or ())
    if len(shares) != count or not 0.99 <= sum(shares) <= 1.01:
        shares = equal_weights(count)
    starts = accumulate(shares, initial=0.0)
    return tuple((start, start + coverage * share) for start, share in zip(starts, shares, strict=False))
