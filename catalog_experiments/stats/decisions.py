"""When a difference may be declared: early by a sequence, or once at the planned end, whichever comes first.

The two looks share one chance of error: 0.01 for the sequence that may be looked at any number of times, 0.04 for the
fixed method that is looked at once. Several test variants share each of them by Holm's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from catalog_experiments.stats.distributions import two_sided_p
from catalog_experiments.stats.effects import Estimate, difference, fixed_half_width, two_proportion_z
from catalog_experiments.stats.moments import VariantMoments
from catalog_experiments.stats.multiplicity import holm
from catalog_experiments.stats.sequential import asymptotic_p, tuning_rho

EARLY_ALPHA = 0.01
FINAL_ALPHA = 0.04
EARLIEST = timedelta(days=7)
"""A whole week: before, weekdays of one kind only would speak for a better variant. Harm needs not wait."""


class Stage(StrEnum):
    """Which method has the word."""

    EARLY = "early"
    FINAL = "final"


class Declared(StrEnum):
    """What is declared of a test variant against the control."""

    BETTER = "better"
    WORSE = "worse"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Occasion:
    """At which point of an experiment it is decided.

    Attributes:
        stage: early, any number of times before the planned end; final, once there.
        age: time since the phase began.
        planned_units: complete units planned of the two variants compared, together; tunes the sequence.
        is_rate: the metric is 0 or 1 per unit, so that its final test is the pooled one of two rates.
    """

    stage: Stage
    age: timedelta
    planned_units: int
    is_rate: bool

    @property
    def alpha(self) -> float:
        """Chance of error that this stage may spend."""
        return FINAL_ALPHA if self.stage == Stage.FINAL else EARLY_ALPHA


@dataclass(frozen=True, slots=True)
class Decision:
    """What is declared of one test variant; `p_value` is adjusted for all test variants, None when undefined."""

    declared: Declared
    p_value: float | None


def decide(control: VariantMoments, tests: Sequence[VariantMoments], occasion: Occasion) -> tuple[Decision, ...]:
    """Return a decision per test variant, in their order.

    Call it early as often as you like, and finally once: at the first moment the planned sample is complete, never
    again. Early, a better variant waits for a whole week; a worse one is declared at any age.

    Args:
        control: moments of the control's complete units.
        tests: those of the test variants.
        occasion: which method, and how old the phase is.

    Assumes: enough units for normal quantiles, see `looks.shortfall_of_rates` and `looks.shortfall_of_money`.
    Source: union of the two errors (Bonferroni); Waudby-Smith et al., arXiv:2103.06476, eq. 155; Holm (1979).

    >>> occasion = Occasion(Stage.EARLY, timedelta(days=8), planned_units=20_000, is_rate=True)
    >>> control, test = VariantMoments.of_counts(500, 5000), VariantMoments.of_counts(650, 5000)
    >>> [decision] = decide(control, [test], occasion)
    >>> decision.declared.value, round(decision.p_value, 4)
    ('better', 0.0002)
    """
    contrasts = [difference(test, control, fixed_half_width(occasion.alpha)) for test in tests]
    p_values = [_p_value(test, control, own, occasion) for test, own in zip(tests, contrasts, strict=True)]
    adjusted = holm([1.0 if p_value is None else p_value for p_value in p_values])
    return tuple(
        Decision(_declared(contrast, adjusted_p, occasion), None if p_value is None else adjusted_p)
        for contrast, p_value, adjusted_p in zip(contrasts, p_values, adjusted, strict=True)
    )


def _p_value(test: VariantMoments, control: VariantMoments, contrast: Estimate, occasion: Occasion) -> float | None:
    if contrast.value is None or not contrast.standard_error:
        return None
    if occasion.stage == Stage.EARLY:
        rho = tuning_rho(occasion.planned_units, EARLY_ALPHA)
        return asymptotic_p(contrast.value, contrast.standard_error, test.n + control.n, rho=rho)
    if occasion.is_rate:
        score = two_proportion_z(test, control)
        return score.p_value if score else None
    return two_sided_p(contrast.value / contrast.standard_error)


def _declared(contrast: Estimate, p_value: float, occasion: Occasion) -> Declared:
    if contrast.value is None or p_value > occasion.alpha:
        return Declared.NOTHING
    if contrast.value < 0:
        return Declared.WORSE
    is_too_soon = occasion.stage == Stage.EARLY and occasion.age < EARLIEST
    return Declared.NOTHING if is_too_soon else Declared.BETTER
