"""Cannibalization: minus the change of single pieces per change of bundled ones, with an honest uncertainty."""

from __future__ import annotations

import random

import pytest

from catalog_experiments.stats.effects import fixed_half_width
from catalog_experiments.stats.moments import JointMoments
from catalog_experiments.stats.substitution import NO_MORE_BUNDLED, substitution

HALF_WIDTH = fixed_half_width(0.05)


def sample(source: random.Random, units: int, bundled: float, replaced: float) -> JointMoments:
    """Draw units that buy a bundled piece by chance, which replaces a single one by chance."""
    pairs = []
    for _ in range(units):
        takes = source.random() < bundled
        single = source.random() < 0.6
        pairs.append((int(single and not (takes and source.random() < replaced)), int(takes)))
    return JointMoments.of(pairs)


def test_substitution__known_truth__interval_covers_it_in_about_95_of_100() -> None:
    source, truth, covered = random.Random(4), 0.6 * 0.5, 0

    for _ in range(200):
        found = substitution(sample(source, 800, 0.3, 0.5), sample(source, 800, 0.0, 0.0), HALF_WIDTH)
        assert found.interval is not None
        covered += not found.interval.excludes(truth)

    assert 180 <= covered <= 199


@pytest.mark.parametrize("units", [0, 1])
def test_substitution__too_few_units__is_none_with_a_reason(units: int) -> None:
    few, many = JointMoments.of([(1, 1)] * units), JointMoments.of([(1, 0)] * 100)

    assert substitution(few, many, HALF_WIDTH).value is None


def test_substitution__same_in_both__is_none_as_nothing_more_is_sold() -> None:
    same = JointMoments.of([(1, 0), (0, 1)] * 50)

    assert substitution(same, same, HALF_WIDTH).reason == NO_MORE_BUNDLED
