"""One metric of a test variant against the control: sequential while running, fixed at the planned end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from catalog_experiments.models import MomentMetric
from catalog_experiments.stats.distributions import two_sided_p
from catalog_experiments.stats.effects import (
    Estimate,
    HalfWidth,
    Interval,
    ZTest,
    difference,
    fixed_half_width,
    lift_by_inversion,
    newcombe_interval,
    relative_lift,
    two_proportion_z,
)
from catalog_experiments.stats.moments import VariantMoments
from catalog_experiments.stats.sequential import asymptotic_half_width, tuning_rho

ALPHA = 0.05
FEWEST_UNITS = 100
FEWEST_SUCCESSES = 20
FEWEST_PAYING_UNITS = 100
USUAL_PLANNED_UNITS = 5_000
"""Units of both variants at which the sequence is tightest when no sample was planned."""

MONEY = frozenset({MomentMetric.REVENUE, MomentMetric.MARGIN})
TOO_FEW_UNITS = f"fewer than {FEWEST_UNITS} units in a variant"
TOO_FEW_SUCCESSES = f"fewer than {FEWEST_SUCCESSES} successes in a variant"
TOO_FEW_PAYING = f"fewer than {FEWEST_PAYING_UNITS} paying units in a variant"


@dataclass(frozen=True, slots=True)
class Look:
    """How numbers are looked at: once at the planned end (`is_final`), or any number of times before.

    `planned_units` counts the complete units of both variants together.
    """

    is_final: bool
    planned_units: int = USUAL_PLANNED_UNITS

    @property
    def half_width(self) -> HalfWidth:
        """The interval's half width at 5 % error for this kind of look."""
        if self.is_final:
            return fixed_half_width(ALPHA)
        rho = tuning_rho(self.planned_units, ALPHA)
        return lambda standard_error, n: asymptotic_half_width(standard_error, n, rho=rho, alpha=ALPHA)


@dataclass(frozen=True, slots=True)
class MetricReport:
    """One metric of one variant over complete units; money in minor units, rates as fractions.

    Everything against control is None for the control itself and where `reason` says why. `z` and `p_value` belong to
    a single look and are None before the planned end. `is_mature` says that the gate of units and successes is passed:
    before, the interval is None.
    """

    metric: str
    n: int
    mean: float | None
    difference: float | None = None
    standard_error: float | None = None
    interval: Interval | None = None
    z: float | None = None
    p_value: float | None = None
    relative_lift: float | None = None
    relative_interval: Interval | None = None
    is_mature: bool = False
    reason: str = ""


def describe(metric: str, moments: VariantMoments, shortfall: str) -> MetricReport:
    """Return the report of a metric without comparison, as for the control."""
    return MetricReport(metric, moments.n, moments.mean, is_mature=not shortfall, reason=shortfall)


def compare(metric: str, test: VariantMoments, control: VariantMoments, look: Look, shortfall: str) -> MetricReport:
    """Return the report of a test variant's metric against the control's.

    Args:
        metric: one of `MomentMetric`.
        test: moments of the test variant's complete units.
        control: moments of the control's.
        look: decides between sequential and fixed methods.
        shortfall: why intervals and scores must not be shown yet; empty when they may.
    """
    contrast = difference(test, control, look.half_width)
    lift = relative_lift(test, control) if look.is_final else lift_by_inversion(test, control, look.half_width)
    score = _score(metric, test, control, contrast) if look.is_final and not shortfall else None
    return MetricReport(
        metric=metric,
        n=test.n,
        mean=test.mean,
        difference=contrast.value,
        standard_error=contrast.standard_error,
        interval=None if shortfall else _interval(metric, test, control, contrast, look),
        z=score.z if score else None,
        p_value=score.p_value if score else None,
        relative_lift=lift.value,
        relative_interval=None if shortfall else lift.interval,
        is_mature=not shortfall,
        reason=shortfall or contrast.reason or lift.reason,
    )


def shortfall_of_rates(pair: Iterable[VariantMoments]) -> str:
    """Return why a rate may not be judged yet: too few units or successes in one variant; empty when it may."""
    moments = tuple(pair)
    if min(own.n for own in moments) < FEWEST_UNITS:
        return TOO_FEW_UNITS
    return TOO_FEW_SUCCESSES if min(own.total for own in moments) < FEWEST_SUCCESSES else ""


def shortfall_of_money(pair: Iterable[VariantMoments], conversions: Iterable[VariantMoments]) -> str:
    """Return why money may not be judged yet: too few units, or too few that paid, in one variant."""
    if min(own.n for own in pair) < FEWEST_UNITS:
        return TOO_FEW_UNITS
    return TOO_FEW_PAYING if min(own.total for own in conversions) < FEWEST_PAYING_UNITS else ""


def _interval(
    metric: str, test: VariantMoments, control: VariantMoments, contrast: Estimate, look: Look
) -> Interval | None:
    if look.is_final and metric not in MONEY:
        return newcombe_interval(test, control)
    return contrast.interval


def _score(metric: str, test: VariantMoments, control: VariantMoments, contrast: Estimate) -> ZTest | None:
    if metric not in MONEY:
        return two_proportion_z(test, control)
    if not contrast.standard_error or contrast.value is None:
        return None
    z = contrast.value / contrast.standard_error
    return ZTest(z, two_sided_p(z))
