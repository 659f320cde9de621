"""What assignment promises over all weights, coverages and salts: nobody moves, ratios hold, tests are independent."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_experiments.assignment import (
    BUCKETS,
    AllocationError,
    allocation,
    allowed_coverage,
    bucket,
    choose_variant,
    coverage_step,
    in_ranges,
    reduced_weights,
)

UNITS = 100_000
weight_lists = st.lists(st.integers(1, 60), min_size=2, max_size=6)
salts = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(weight_lists, salts, st.lists(st.text(max_size=30), min_size=1, max_size=20), st.data())
def test_coverage__raised_step_by_step__moves_nobody_who_was_in(
    weights: list[int], salt: str, units: list[str], data: st.DataObject
) -> None:
    step = coverage_step(weights)
    ramp = sorted(data.draw(st.lists(st.integers(0, BUCKETS // step), min_size=2, max_size=5)))
    variants = [
        [choose_variant(allocation(weights, steps * step), bucket(salt, unit)) for unit in units] for steps in ramp
    ]

    for before, after in pairwise(variants):
        assert all(now == then for then, now in zip(before, after, strict=True) if then is not None)


@settings(max_examples=40, deadline=None)
@given(weight_lists, st.data())
def test_ratio__at_every_allowed_coverage__is_exactly_that_of_the_weights(
    weights: list[int], data: st.DataObject
) -> None:
    step = coverage_step(weights)
    coverage = step * data.draw(st.integers(0, BUCKETS // step))

    enrolled = [choose_variant(allocation(weights, coverage), each) for each in range(BUCKETS)]

    counts = [enrolled.count(position) for position in range(len(weights))]
    assert sum(counts) == coverage
    assert [count * sum(weights) for count in counts] == [weight * coverage for weight in weights]


@given(weight_lists, st.integers(0, BUCKETS - 1))
def test_coverage__of_no_whole_step__is_refused_with_one_that_is_allowed(weights: list[int], coverage: int) -> None:
    step = coverage_step(weights)
    if coverage % step == 0:
        assert allowed_coverage(weights, coverage) == coverage
        return

    with pytest.raises(AllocationError) as refused:
        allowed_coverage(weights, coverage)

    nearest = int(str(refused.value).rstrip(".").rsplit(" ", 1)[1])
    assert allowed_coverage(weights, nearest) == nearest
    assert abs(nearest - coverage) <= step


@pytest.mark.parametrize("weights", [[], [0, 5], [-1, 2], [9_999, 2], [5_000, 5_000, 1]])
def test_weights__that_cannot_split_ten_thousand__are_refused(weights: list[int]) -> None:
    with pytest.raises(AllocationError):
        reduced_weights(weights)


def test_weights__moved_from_half_to_sixty_percent__move_exactly_a_tenth_of_the_buckets() -> None:
    before, after = allocation([50, 50]), allocation([60, 40])

    moved = sum(choose_variant(before, each) != choose_variant(after, each) for each in range(BUCKETS))

    assert moved == 1_000


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.lists(salts, min_size=2, max_size=2, unique=True), st.sampled_from(["visitor-{}", "{:032x}", "käufer-{}"]))
def test_two_experiments__over_100_000_units__are_independent(pair: list[str], form: str) -> None:
    first, second = pair
    half = allocation([50, 50])[1][0]
    cells = {(one, other): 0 for one in (0, 1) for other in (0, 1)}

    for number in range(UNITS):
        unit = form.format(number)
        cells[bucket(first, unit) >= half, bucket(second, unit) >= half] += 1

    # Each cell is binomial with a quarter of the units: within four standard deviations.
    sigma = sqrt(UNITS * 0.25 * 0.75)
    assert all(abs(count - UNITS / 4) < 4 * sigma for count in cells.values()), cells


@settings(max_examples=2, deadline=None, derandomize=True)
@given(st.lists(salts, min_size=2, max_size=2, unique=True))
def test_group_or_holdout__thins_all_variants_alike(pair: list[str]) -> None:
    gate, own = pair
    ranges = allocation([20, 30, 50])
    kept = [0] * len(ranges)

    for number in range(UNITS // 2):
        unit = f"visitor-{number}"
        if in_ranges(bucket(gate, unit), [(1_000, 4_000)]):
            kept[choose_variant(ranges, bucket(own, unit)) or 0] += 1

    total = sum(kept)
    for count, share in zip(kept, (0.2, 0.3, 0.5), strict=True):
        assert abs(count - share * total) < 4 * sqrt(total * share * (1 - share))


@given(salts, st.text(max_size=40), st.integers(0, BUCKETS), st.integers(0, BUCKETS))
def test_holdout__raised__only_adds_units(salt: str, unit: str, one: int, other: int) -> None:
    lower, higher = sorted((one, other))
    place = bucket(salt, unit)

    assert in_ranges(place, [(0, higher)]) or not in_ranges(place, [(0, lower)])
    assert in_ranges(place, [(0, lower)]) is not in_ranges(place, [(lower, BUCKETS)])
