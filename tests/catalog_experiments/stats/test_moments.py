"""Moments: exact, mergeable, and equal to what numpy finds in the single values."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.stats.moments import JointMoments, VariantMoments

amounts = st.lists(st.integers(-(10**12), 10**12), max_size=20)
pairs = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=20)


@given(amounts, amounts)
def test_variant_moments__merged__equal_the_pooled_units(left: list[int], right: list[int]) -> None:
    merged = VariantMoments.of(left) + VariantMoments.of(right)

    assert merged == VariantMoments.of(left + right)


@given(pairs, pairs)
def test_joint_moments__merged__equal_the_pooled_units(
    left: list[tuple[int, int]], right: list[tuple[int, int]]
) -> None:
    merged = JointMoments.of(left) + JointMoments.of(right)

    assert merged == JointMoments.of(left + right)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=30))
def test_variance__integers__equals_numpy(values: list[int]) -> None:
    variance = VariantMoments.of(values).variance

    assert variance == pytest.approx(float(numpy.var(values, ddof=1)), rel=1e-9, abs=1e-6)


def test_covariance__pairs__equals_numpy() -> None:
    units = [(3, 10), (5, 9), (9, 2), (4, 4)]

    covariance = JointMoments.of(units).covariance

    assert covariance == pytest.approx(numpy.cov(numpy.array(units).T)[0, 1])


def test_variance__a_billion_equal_amounts__is_exactly_zero() -> None:
    n, amount = 10**9, 123_456_789

    moments = VariantMoments(n, n * amount, n * amount * amount)

    assert moments.variance == 0.0
    assert moments.mean == amount


def test_variance__fewer_than_two_units__is_none() -> None:
    assert VariantMoments().mean is None
    assert VariantMoments.of([5]).variance is None
    assert VariantMoments.of([5]).squared_standard_error is None
    assert JointMoments.of([(1, 2)]).covariance is None


def test_joint_moments__parts__are_the_single_moments() -> None:
    moments = JointMoments.of([(1, 10), (2, 20)])

    assert moments.outcome == VariantMoments.of([1, 2])
    assert moments.covariate == VariantMoments.of([10, 20])
