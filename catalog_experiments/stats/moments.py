"""Sufficient statistics of a variant: counts and sums that merge with `+`, so that raw facts are read once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Number = int | float


@dataclass(frozen=True, slots=True)
class VariantMoments:
    """Count, sum and sum of squares of one metric over the units of one variant.

    Integers (minor units of money, successes) stay exact at any size; merging equals pooling the units.

    >>> VariantMoments.of([1, 2]) + VariantMoments.of([3]) == VariantMoments.of([1, 2, 3])
    True
    """

    n: int = 0
    total: Number = 0
    total_squares: Number = 0

    @classmethod
    def of(cls, values: Iterable[Number]) -> VariantMoments:
        """Return the moments of single values, one per unit."""
        units = tuple(values)
        return cls(len(units), sum(units), sum(value * value for value in units))

    @classmethod
    def of_counts(cls, successes: int, n: int) -> VariantMoments:
        """Return the moments of n units of which some succeeded (1) and the others did not (0).

        >>> VariantMoments.of_counts(3, 10).mean
        0.3
        """
        return cls(n, successes, successes)

    def __add__(self, other: VariantMoments) -> VariantMoments:
        """Pool the units of both."""
        return VariantMoments(self.n + other.n, self.total + other.total, self.total_squares + other.total_squares)

    @property
    def mean(self) -> float | None:
        """Mean per unit; None without units."""
        return self.total / self.n if self.n else None

    @property
    def variance(self) -> float | None:
        """Sample variance (divisor n - 1); None when there are fewer than two units.

        >>> VariantMoments.of([1, 2, 4]).variance
        2.3333333333333335
        """
        return _covariance(self.n, self.total, self.total, self.total_squares, floor=0.0)

    @property
    def squared_standard_error(self) -> float | None:
        """Variance of the mean; None when there are fewer than two units."""
        return None if self.variance is None else self.variance / self.n


@dataclass(frozen=True, slots=True)
class JointMoments:
    """Moments of an outcome and a covariate measured on the same units, for CUPED and for ratios of two sums.

    The covariate is the pre-exposure value (CUPED) or the denominator (ratio metrics).
    """

    n: int = 0
    total: Number = 0
    total_squares: Number = 0
    covariate_total: Number = 0
    covariate_total_squares: Number = 0
    cross_total: Number = 0

    @classmethod
    def of(cls, pairs: Iterable[tuple[Number, Number]]) -> JointMoments:
        """Return the moments of (outcome, covariate) pairs, one per unit."""
        units = tuple(pairs)
        outcome = VariantMoments.of(value for value, _ in units)
        covariate = VariantMoments.of(value for _, value in units)
        cross = sum(value * other for value, other in units)
        return cls(len(units), outcome.total, outcome.total_squares, covariate.total, covariate.total_squares, cross)

    def __add__(self, other: JointMoments) -> JointMoments:
        """Pool the units of both."""
        return JointMoments(
            self.n + other.n,
            self.total + other.total,
            self.total_squares + other.total_squares,
            self.covariate_total + other.covariate_total,
            self.covariate_total_squares + other.covariate_total_squares,
            self.cross_total + other.cross_total,
        )

    def __sub__(self, part: JointMoments) -> JointMoments:
        """Leave out a part of the units.

        >>> JointMoments.of([(1, 2), (2, 4)]) - JointMoments.of([(2, 4)]) == JointMoments.of([(1, 2)])
        True
        """
        return JointMoments(
            self.n - part.n,
            self.total - part.total,
            self.total_squares - part.total_squares,
            self.covariate_total - part.covariate_total,
            self.covariate_total_squares - part.covariate_total_squares,
            self.cross_total - part.cross_total,
        )

    @property
    def outcome(self) -> VariantMoments:
        """Moments of the outcome alone."""
        return VariantMoments(self.n, self.total, self.total_squares)

    @property
    def covariate(self) -> VariantMoments:
        """Moments of the covariate alone."""
        return VariantMoments(self.n, self.covariate_total, self.covariate_total_squares)

    @property
    def covariance(self) -> float | None:
        """Sample covariance (divisor n - 1); None when there are fewer than two units.

        >>> JointMoments.of([(1, 2), (2, 4), (3, 6)]).covariance
        2.0
        """
        return _covariance(self.n, self.total, self.covariate_total, self.cross_total)


def _covariance(
    n: int, total: Number, other_total: Number, cross_total: Number, floor: float | None = None
) -> float | None:
    # One division at the end: with integer sums the numerator is exact, so nothing cancels at n = 10^9.
    if n < 2:
        return None
    value = (n * cross_total - total * other_total) / (n * (n - 1))
    return value if floor is None else max(value, floor)
