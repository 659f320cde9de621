"""A/A comparisons: how often equal variants may seem to differ before the measuring itself is in doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence

from catalog_experiments.stats.effects import difference, fixed_half_width, two_proportion_z
from catalog_experiments.stats.looks import FEWEST_SUCCESSES, FEWEST_UNITS
from catalog_experiments.stats.moments import VariantMoments
from catalog_experiments.stats.multiplicity import holm
from catalog_experiments.stats.sequential import asymptotic_p, tuning_rho

LIVE_ALPHA = 1e-4
"""Chance that a sound phase of a canary ever turns red, for the sample ratio and for conversion each."""

SPLITS = 200
SPLIT_ALPHA = 0.05
RED_REJECTIONS = 24
"""Of 200 splits of sound data 10 differ by chance; so many or more hardly ever do."""

FEWEST_DRAWN = 400
FEWEST_BUYERS = 2 * FEWEST_SUCCESSES
"""Below either nothing is split: too few for normal quantiles in each half."""


def binomial_tail(least: int, n: int, chance: float) -> float:
    """Return the chance of at least so many successes in n independent trials.

    That of a false red of one calibration, and with the two tests of each 28 days' phase that of a year:

    >>> calibration = binomial_tail(RED_REJECTIONS, SPLITS, SPLIT_ALPHA)
    >>> f"{calibration:.1e}", round(365 / 7 * calibration + 365 / 28 * 2 * LIVE_ALPHA, 4)
    ('7.2e-05', 0.0064)
    """
    return math.fsum(math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(least, n + 1))


def halves_differ(half: VariantMoments, other: VariantMoments) -> bool:
    """Say whether two random halves of the same units differ in conversion, by the fixed test at 0.05.

    >>> half = VariantMoments.of_counts(100, 1000)
    >>> [halves_differ(VariantMoments.of_counts(buyers, 1000), half) for buyers in (127, 130)]
    [False, True]
    """
    test = two_proportion_z(half, other)
    return test is not None and test.p_value <= SPLIT_ALPHA


def is_red(rejections: int) -> bool:
    """Say whether so many of the 200 splits differed that it is no chance.

    >>> is_red(23), is_red(24)
    (False, True)
    """
    return rejections >= RED_REJECTIONS


def canary_p(control: VariantMoments, tests: Sequence[VariantMoments], planned_units: int) -> float | None:
    """Return the always-valid p-value of any difference in conversion between equal variants, Holm over the tests.

    None below 100 units and 20 buyers in each variant.

    Args:
        control: complete units of the control.
        tests: those of the other variants.
        planned_units: of two variants together; tunes the sequence.

    Assumes: large samples.
    Source: Waudby-Smith et al., arXiv:2103.06476, eq. 155; Holm (1979).

    >>> equal, other = VariantMoments.of_counts(500, 10_000), VariantMoments.of_counts(700, 10_000)
    >>> round(canary_p(equal, [equal], 20_000), 3), canary_p(equal, [other], 20_000) < LIVE_ALPHA
    (1.0, True)
    """
    variants = [control, *tests]
    if not tests or any(own.n < FEWEST_UNITS or own.total < FEWEST_SUCCESSES for own in variants):
        return None
    rho = tuning_rho(planned_units, LIVE_ALPHA)
    return min(holm([_p_value(test, control, rho) for test in tests]))


def _p_value(test: VariantMoments, control: VariantMoments, rho: float) -> float:
    contrast = difference(test, control, fixed_half_width(LIVE_ALPHA))
    if contrast.value is None or not contrast.standard_error:
        return 1.0
    return asymptotic_p(contrast.value, contrast.standard_error, test.n + control.n, rho=rho)
