"""Assignment: golden vectors, the public cases, and the promises about weights and coverage."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.assignment import (
    BUCKETS,
    AllocationError,
    allocation,
    allowed_coverage,
    bucket,
    choose_variant,
    coverage_step,
    equal_weights,
    full_coverage,
    growthbook_hash,
    in_ranges,
    nearest_coverage,
    reduced_weights,
    share_ranges,
)
from tests.shared import shared_path

VECTORS = Path(__file__).parent / "vectors"

weight_lists = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def public_cases(section: str) -> list[Any]:
    cases: list[Any] = json.loads(shared_path("vectors", "growthbook_cases.json").read_text())[section]
    return cases


def test_bucket__golden_vectors__match_javascript() -> None:
    cases = json.loads((VECTORS / "buckets.json").read_text())["cases"]

    buckets = [bucket(case["salt"], case["unit_id"]) for case in cases]

    assert len(cases) == 50
    assert buckets == [case["bucket"] for case in cases]


def test_growthbook_hash__public_cases__all_match() -> None:
    cases = public_cases("hash")

    hashes = [growthbook_hash(seed, value, version) for seed, value, version, _ in cases]

    assert len(cases) == 15
    assert hashes == [expected for *_, expected in cases]


def test_share_ranges__public_cases__all_match() -> None:
    cases = public_cases("getBucketRange")

    for name, (count, coverage, weights), expected in cases:
        ranges = share_ranges(count, coverage, weights)
        assert [tuple(round(end, 6) for end in each) for each in ranges] == [tuple(each) for each in expected], name

    assert len(cases) == 13


def test_choose_variant__public_cases__all_match() -> None:
    cases = public_cases("chooseVariation")

    for name, share, shares, expected in cases:
        ranges = [(round(start * BUCKETS), round(end * BUCKETS)) for start, end in shares]
        position = choose_variant(ranges, round(share * BUCKETS))
        assert (-1 if position is None else position) == expected, name

    assert len(cases) == 13


def test_equal_weights__public_cases__all_match() -> None:
    cases = public_cases("getEqualWeights")

    rounded = [[round(weight, 8) for weight in equal_weights(count)] for count, _ in cases]

    assert rounded == [expected for _, expected in cases]


def test_bucket__many_units__spread_evenly_and_salts_unrelated() -> None:
    units = [f"visitor-{number}" for number in range(20_000)]

    first = [bucket("salt-one", unit) < 5000 for unit in units]
    second = [bucket("salt-two", unit) < 5000 for unit in units]

    assert abs(sum(first) - 10_000) < 300
    assert abs(sum(one == other for one, other in zip(first, second, strict=True)) - 10_000) < 300


@given(st.text(max_size=40), st.text(max_size=40))
def test_bucket__any_text__lies_in_range_and_repeats(salt: str, unit: str) -> None:
    first = bucket(salt, unit)

    assert 0 <= first < BUCKETS
    assert bucket(salt, unit) == first


@given(weight_lists)
def test_allocation__any_weights_at_full__widths_in_the_exact_ratio(weights: list[int]) -> None:
    ranges = allocation(weights)

    widths = [end - start for start, end in ranges]
    assert sum(widths) == full_coverage(weights)
    assert all(width * sum(weights) == weight * sum(widths) for width, weight in zip(widths, weights, strict=True))


@given(weight_lists, st.data())
def test_allocation__coverage_raised__moves_nobody(weights: list[int], data: st.DataObject) -> None:
    steps = st.integers(0, BUCKETS // coverage_step(weights))
    lower, higher = sorted((data.draw(steps), data.draw(steps)))

    before = allocation(weights, lower * coverage_step(weights))
    after = allocation(weights, higher * coverage_step(weights))

    assert all(
        choose_variant(after, place) == position
        for position, (start, end) in enumerate(before)
        for place in {start, end - 1}
        if start < end
    )
    assert [start for start, _ in before] == [start for start, _ in after]


@given(weight_lists, st.integers(0, BUCKETS))
def test_allocation__any_allowed_coverage__ranges_never_overlap(weights: list[int], coverage: int) -> None:
    ranges = allocation(weights, nearest_coverage(weights, coverage))

    assert all(end <= start for (_, end), (start, _) in pairwise(ranges))
    assert ranges[0][0] == 0
    assert ranges[-1][1] <= BUCKETS


def test_allocation__coverage_off_the_step__names_the_nearest() -> None:
    with pytest.raises(AllocationError, match=r"steps of 3\); the nearest that does is 999\."):
        allocation([1, 1, 1], 1000)


@pytest.mark.parametrize("coverage", [-2, 10_001, 3])
def test_allowed_coverage__outside_or_odd__raises(coverage: int) -> None:
    with pytest.raises(AllocationError):
        allowed_coverage([1, 1], coverage)


def test_allowed_coverage__ten_thousand__means_full() -> None:
    assert allowed_coverage([1, 1, 1], 10_000) == 9_999


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([], "no variant"),
        ([50, -1], "negative"),
        ([50, 0], "Only some weights are zero"),
        ([9_999, 2], "reduce to a sum of 10001"),
    ],
)
def test_reduced_weights__unusable__names_the_remedy(weights: list[int], sentence: str) -> None:
    with pytest.raises(AllocationError, match=sentence):
        reduced_weights(weights)


def test_in_ranges__filter_with_a_gap__is_half_open() -> None:
    inside = [in_ranges(place, [(0, 1000), (2000, 4000)]) for place in (0, 999, 1000, 2000, 4000)]

    assert inside == [True, True, False, True, False]
