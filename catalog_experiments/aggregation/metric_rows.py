"""One row per variant and UTC day: what a card shows, counted from the start of the phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from django.db.models import Sum

from catalog_experiments.guardrails import GuardrailConfig, GuardrailConfigError, LatestMetric, breaches, parse_config
from catalog_experiments.models import Cohort, Experiment, GuardrailTally, Phase, Variant, VariantMetric
from catalog_experiments.stats.looks import gated_lift, look_while_running
from catalog_experiments.stats.moments import VariantMoments

FOUR_DECIMALS = Decimal("0.0001")
IS_CONTROL = "control"
NO_CONTROL_ACCEPTANCE = "no control acceptance"
NO_ORDERS = "no orders yet"

KEY = ("variant", "phase", "window_start", "lookback_days")
FIGURES = (
    "acceptance_rate",
    "acceptance_count",
    "sample_size",
    "exposed_count",
    "lift_vs_control",
    "lift_lower",
    "lift_upper",
    "lift_reason",
    "guardrail_breached",
    "breach_reasons",
)


@dataclass(frozen=True, slots=True)
class VariantCounts:
    """What a row rests on: first eligible orders, those that took the bundle, and exposed units.

    All but `cut` and `revised` (which are among the exposed) are units left out of everything, by the variant they
    were first seen with.
    """

    sample: int = 0
    accepted: int = 0
    exposed: int = 0
    cut: int = 0
    revised: int = 0
    mixed: int = 0
    faults: int = 0
    merged: int = 0
    holdout: int = 0
    bots: int = 0
    staff: int = 0
    tests: int = 0

    def __add__(self, other: VariantCounts) -> VariantCounts:
        """Return the counts of both together."""
        return VariantCounts(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))

    def metadata(self) -> dict[str, Any]:
        """Return the units that a row tells beside its figures."""
        return {
            "mixed_count": self.mixed,
            "fault_count": self.faults,
            "merged_count": self.merged,
            "holdout_count": self.holdout,
            "cut_count": self.cut,
            "revised_count": self.revised,
            "excluded_counts": {"bot": self.bots, "staff": self.staff, "test": self.tests},
        }


UNITS = ("exposed", "revised", "mixed", "faulty", "merged", "holdout", "bots", "staff", "tests")
"""Columns of the cohort days that add up to the counts of a variant, from `exposed` on; `cut` comes between."""

Counts = Mapping[tuple[UUID, str], VariantCounts]
"""By phase id and variant key; absent means zero."""


def update_metric_rows(experiments: Iterable[Experiment], *, now: datetime, watermark_at: datetime) -> int:
    """Write today's row of every variant of the experiments' current phases; return how many.

    Reads the tallies, so call it after them in the same transaction.
    """
    phases = [experiment.current_phase for experiment in experiments if experiment.current_phase]
    counts = _read_counts(phases)
    variants = variants_by_phase(phases)
    today = now.astimezone(UTC).date()
    rows = [row for phase in phases for row in rows_of_day(phase, variants[phase.pk], counts, today)]
    for row in rows:
        row.computed_at, row.watermark_at = now, watermark_at
    save_rows(rows)
    return len(rows)


def save_rows(rows: Sequence[VariantMetric]) -> None:
    """Insert the rows or bring those of the same variant, phase and day up to date."""
    VariantMetric.objects.bulk_create(
        sorted(rows, key=lambda row: (str(row.variant_id), row.window_start)),
        update_conflicts=True,
        unique_fields=list(KEY),
        update_fields=[*FIGURES, "computed_at", "watermark_at", "metadata"],
        batch_size=500,
    )


def variants_by_phase(phases: Iterable[Phase]) -> dict[UUID, dict[str, Variant]]:
    """Return the variants that still exist by phase id and key; one query."""
    known = list(phases)
    by_experiment: dict[UUID, dict[str, Variant]] = {phase.experiment_id: {} for phase in known}
    for variant in Variant.objects.filter(experiment__in=by_experiment):
        by_experiment[variant.experiment_id][variant.key] = variant
    return {phase.pk: by_experiment[phase.experiment_id] for phase in known}


def rows_of_day(phase: Phase, variants: Mapping[str, Variant], counts: Counts, day: date) -> list[VariantMetric]:
    """Return the unsaved rows of a phase for one UTC day, control first."""
    control_key = next((entry["key"] for entry in phase.variants if entry["is_control"]), "")
    control = counts.get((phase.pk, control_key), VariantCounts())
    return [
        _row(phase, variants[entry["key"]], counts.get((phase.pk, entry["key"]), VariantCounts()), control, day)
        for entry in phase.variants
        if entry["key"] in variants
    ]


def lookback_days(phase: Phase, day: date) -> int:
    """Return the days from the phase's opening to a UTC day, at least 1; the same all day long."""
    return max(1, (day - phase.opened_at.astimezone(UTC).date()).days)


def lift_vs_control(test: VariantCounts, control: VariantCounts) -> tuple[Decimal | None, str]:
    """Return the relative lift of acceptance among buyers from counts, 4 decimals, or None and why.

    >>> lift_vs_control(VariantCounts(sample=1000, accepted=95), VariantCounts(sample=1000, accepted=180))
    (Decimal('-0.4722'), '')
    """
    if not control.accepted:
        return None, NO_CONTROL_ACCEPTANCE
    if not test.sample:
        return None, NO_ORDERS
    ratio = Decimal(test.accepted * control.sample) / Decimal(test.sample * control.accepted)
    return (ratio - 1).quantize(FOUR_DECIMALS, ROUND_HALF_UP), ""


def lift_interval(
    test: VariantCounts, control: VariantCounts, planned_sample_size: int | None
) -> tuple[Decimal | None, Decimal | None]:
    """Return the interval of the lift that may be looked at any time, 4 decimals; None before 100 units and 20 takers.

    >>> lift_interval(VariantCounts(sample=1000, accepted=95), VariantCounts(sample=1000, accepted=180), None)
    (Decimal('-0.6494'), Decimal('-0.2459'))
    """
    test_moments, control_moments = (VariantMoments.of_counts(own.accepted, own.sample) for own in (test, control))
    interval = gated_lift(test_moments, control_moments, look_while_running(planned_sample_size)).interval
    if interval is None:
        return None, None
    return _four_decimals(interval.lower), _four_decimals(interval.upper)


def _four_decimals(value: float) -> Decimal:
    return Decimal(value).quantize(FOUR_DECIMALS, ROUND_HALF_UP)


def _row(phase: Phase, variant: Variant, own: VariantCounts, control: VariantCounts, day: date) -> VariantMetric:
    rate = Decimal(own.accepted) / Decimal(own.sample) if own.sample else Decimal(0)
    rounded = rate.quantize(FOUR_DECIMALS, ROUND_HALF_UP)
    lift, reason = (None, IS_CONTROL) if variant.is_control else lift_vs_control(own, control)
    lower, upper = (None, None) if variant.is_control else lift_interval(own, control, phase.planned_sample_size)
    missed = breaches(LatestMetric(own.sample, rounded), _config(phase), phase.minimum_sample)
    return VariantMetric(
        experiment_id=phase.experiment_id,
        variant=variant,
        phase=phase,
        window_start=day,
        lookback_days=lookback_days(phase, day),
        acceptance_rate=rounded,
        acceptance_count=own.accepted,
        sample_size=own.sample,
        exposed_count=own.exposed,
        lift_vs_control=lift,
        lift_lower=lower,
        lift_upper=upper,
        lift_reason=reason,
        guardrail_breached=bool(missed),
        breach_reasons=list(missed),
        metadata=own.metadata(),
    )


def _config(phase: Phase) -> GuardrailConfig:
    try:
        return parse_config(phase.bounds)
    except GuardrailConfigError:
        # One experiment with unreadable bounds must not stop the rows of the others; preflight and verdicts name it.
        return GuardrailConfig()


def _read_counts(phases: Sequence[Phase]) -> Counts:
    experiments = [phase.experiment_id for phase in phases]  # leads the index
    tallies = GuardrailTally.objects.filter(experiment__in=experiments, phase__in=phases)
    counts: dict[tuple[UUID, str], VariantCounts] = {}
    for phase_id, key, n, accepted in tallies.values_list("phase_id", "variant_key").annotate(
        Sum("n"), Sum("accepted")
    ):
        counts[phase_id, key] = VariantCounts(int(n), int(accepted))
    days = Cohort.objects.filter(phase__in=phases, segment="", currency="").values_list("phase_id", "variant_key")
    for phase_id, key, uncut, exposed, *others in days.annotate(Sum("uncut"), *map(Sum, UNITS)):
        units = VariantCounts(0, 0, *map(int, (exposed, exposed - uncut, *others)))
        counts[phase_id, key] = counts.get((phase_id, key), VariantCounts()) + units
    return counts
