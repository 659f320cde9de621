"""When and how numbers may be looked at: the kind of look, and the gate of units before an interval is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from catalog_experiments.stats.effects import (
    Estimate,
    HalfWidth,
    fixed_half_width,
    lift_by_inversion,
    relative_lift,
)
from catalog_experiments.stats.moments import VariantMoments
from catalog_experiments.stats.sequential import sequential_half_width

ALPHA = 0.05
FEWEST_UNITS = 100
FEWEST_SUCCESSES = 20
FEWEST_PAYING_UNITS = 100
USUAL_PLANNED_UNITS = 5_000
"""Units of both variants at which the sequence is tightest when no sample was planned."""

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
        return fixed_half_width(ALPHA) if self.is_final else sequential_half_width(self.planned_units, ALPHA)


def look_while_running(planned_sample_size: int | None) -> Look:
    """Return the look that may be repeated, tuned to the planned sample per variant (None: the usual total).

    >>> look_while_running(10_000).planned_units, look_while_running(None).planned_units
    (20000, 5000)
    """
    return Look(is_final=False, planned_units=2 * planned_sample_size if planned_sample_size else USUAL_PLANNED_UNITS)


def gated_lift(test: VariantMoments, control: VariantMoments, look: Look) -> Estimate:
    """Return the relative lift of a rate; its interval only past the gate of units and successes in both variants.

    >>> few, many = VariantMoments.of_counts(9, 90), VariantMoments.of_counts(900, 9000)
    >>> gated_lift(few, many, Look(is_final=True)).reason
    'fewer than 100 units in a variant'
    """
    lift = relative_lift(test, control) if look.is_final else lift_by_inversion(test, control, look.half_width)
    shortfall = shortfall_of_rates((test, control))
    return lift if lift.value is None or not shortfall else Estimate(lift.value, reason=shortfall)


def shortfall_of_rates(pair: Iterable[VariantMoments]) -> str:
    """Return why a rate may not be judged yet: too few units or successes in one variant; empty when it may.

    >>> shortfall_of_rates([VariantMoments.of_counts(19, 500)])
    'fewer than 20 successes in a variant'
    """
    moments = tuple(pair)
    if min(own.n for own in moments) < FEWEST_UNITS:
        return TOO_FEW_UNITS
    return TOO_FEW_SUCCESSES if min(own.total for own in moments) < FEWEST_SUCCESSES else ""


def shortfall_of_money(pair: Iterable[VariantMoments], conversions: Iterable[VariantMoments]) -> str:
    """Return why money may not be judged yet: too few units, or too few that paid, in one variant.

    >>> shortfall_of_money([VariantMoments.of_counts(0, 500)], [VariantMoments.of_counts(99, 500)])
    'fewer than 100 paying units in a variant'
    """
    if min(own.n for own in pair) < FEWEST_UNITS:
        return TOO_FEW_UNITS
    return TOO_FEW_PAYING if min(own.total for own in conversions) < FEWEST_PAYING_UNITS else ""
