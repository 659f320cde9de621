"""What aggregation makes of the facts: moments by cohort day, tallies by outcome hour, and the cards' metric rows."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from django.db import models

from catalog_experiments.models.cohort import HOURLY
from catalog_experiments.models.experiment import Experiment, Variant
from catalog_experiments.models.fields import time_ordered_key
from catalog_experiments.models.phase import Phase, PhaseOrigin


class MomentMetric(models.TextChoices):
    """What is summed over the exposed units of a cohort day."""

    REVENUE = "revenue", "Revenue per visitor"
    MARGIN = "margin", "Margin per visitor"
    CONVERSION = "conversion", "Conversion"
    TAKE_RATE = "take_rate", "Take rate"
    RAW_REVENUE = "raw_revenue", "Revenue per visitor, uncapped"
    RAW_MARGIN = "raw_margin", "Margin per visitor, uncapped"
    ORDER_VALUE = "order_value", "Average order value"
    UNITS_PER_ORDER = "units_per_order", "Units per order"
    CANNIBALIZATION = "cannibalization", "Pieces bought apart and in the bundle"
    HARM = "harm", "Conversion within 24 hours"
    HARM_TAKE_RATE = "harm_take_rate", "Take rate within 24 hours"
    HARM_REVENUE = "harm_revenue", "Revenue within 24 hours"


HARM_METRICS = (MomentMetric.HARM, MomentMetric.HARM_TAKE_RATE, MomentMetric.HARM_REVENUE)
"""What is judged 24 hours after exposure."""


class MomentQuerySet(models.QuerySet["Moment"]):
    """Questions about many cohort days."""

    def of_days(self) -> "MomentQuerySet":
        """Keep whole days, in every segment: hours are for guardrails alone."""
        return self.exclude(segment__startswith=HOURLY)

    @staticmethod
    def is_due(watermark_at: datetime) -> models.Q:
        """Say of a moment of harm whether guardrails count it: each unit once, from 25 hours after its hour on.

        That is its 24 hours, and one more for late orders. Days that are due to their last hour count as one, of the
        next day the hours that are. A phase that is closed or was imported waits for nobody, as for completeness.
        """
        has_ended = models.Q(phase__closed_at__isnull=False) | models.Q(phase__origin=PhaseOrigin.IMPORTED)
        day = _last_whole_day(watermark_at)
        age = watermark_at - datetime.combine(day, time(tzinfo=UTC))
        due = [hour_segment(hour) for hour in range(age // timedelta(hours=1) - 25)]
        whole = models.Q(segment="") & (has_ended | models.Q(cohort_date__lt=day))
        return whole | models.Q(cohort_date=day, segment__in=due) & ~has_ended

    @staticmethod
    def is_complete(phases: Iterable[Phase], watermark_at: datetime) -> models.Q:
        """Say of a cohort day whether all its units have had their whole window, and an hour more for late orders.

        The window is the phase's, for harm 24 hours. A phase that is closed or was imported waits for nobody: units
        whose window meets its end are cut. The phases are at hand: no join, for pages that count milliseconds.
        """
        of_window: dict[int | None, list[Phase]] = defaultdict(list)
        for phase in phases:
            has_ended = phase.closed_at is not None or phase.origin == PhaseOrigin.IMPORTED
            of_window[None if has_ended else phase.window_days].append(phase)
        last_date, is_complete = _last_whole_day(watermark_at), models.Q(phase__in=of_window.pop(None, []))
        harm_is = models.Q(cohort_date__lte=last_date - timedelta(days=1), metric__in=HARM_METRICS)
        for days, some in of_window.items():
            is_complete |= models.Q(phase__in=some) & (
                models.Q(cohort_date__lte=last_date - timedelta(days=days or 0)) | harm_is
            )
        return is_complete


def hour_segment(hour: int) -> str:
    """Return the segment of the units that were exposed in this UTC hour of their day.

    >>> hour_segment(7)
    'hour:07'
    """
    return f"{HOURLY}{hour:02}"


def _last_whole_day(watermark_at: datetime) -> date:
    return (watermark_at - timedelta(hours=1)).date() - timedelta(days=1)


class Moment(models.Model):
    """n, sum and sum of squares of one metric over the units first exposed on one UTC day; rows merge by addition.

    Money is in minor units of `currency`; `segment` is '' for all units, and for harm also `hour:07`, those of an hour.
    For revenue, margin, conversion and take rate the covariate is the unit's capped revenue of the 28 days before its
    exposure; for ratios (order value, units per order, cannibalization) it is the denominator. `cross_total` is the
    sum of products of metric and covariate.
    """

    id = time_ordered_key()
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False)
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="moments", db_index=False)
    variant_key = models.CharField(max_length=100)
    cohort_date = models.DateField()
    metric = models.CharField(max_length=16, choices=MomentMetric.choices)
    segment = models.CharField(max_length=120, blank=True, default="")
    currency = models.CharField(max_length=3, blank=True, default="")
    n = models.BigIntegerField()
    total = models.DecimalField(max_digits=40, decimal_places=0)
    total_squares = models.DecimalField(max_digits=40, decimal_places=0)
    covariate_total = models.DecimalField(max_digits=40, decimal_places=0, default=0)
    covariate_total_squares = models.DecimalField(max_digits=40, decimal_places=0, default=0)
    cross_total = models.DecimalField(max_digits=40, decimal_places=0, default=0)

    objects = MomentQuerySet.as_manager()

    class Meta:
        db_table = "catalog_bundle_experiment_moments"
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "phase", "cohort_date", "variant_key", "metric", "segment", "currency"],
                name="moment_key",
            ),
            models.CheckConstraint(condition=models.Q(n__gte=0), name="moment_n_positive"),
        ]

    def __str__(self) -> str:
        """Name the row by its key."""
        return f"{self.metric} of {self.variant_key} on {self.cohort_date}"


class GuardrailTally(models.Model):
    """First eligible orders of exposed units by the UTC hour of the order: net as of the watermark, and gross.

    `revised` counts how often an outcome that had counted changed or left, at the hour of the unit's first order.
    """

    id = time_ordered_key()
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False)
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="tallies", db_index=False)
    variant_key = models.CharField(max_length=100)
    outcome_hour_at = models.DateTimeField()
    n = models.BigIntegerField()
    accepted = models.BigIntegerField()
    gross_n = models.BigIntegerField()
    gross_accepted = models.BigIntegerField()
    revised = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "catalog_bundle_experiment_guardrail_tallies"
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "phase", "variant_key", "outcome_hour_at"], name="guardrail_tally_key"
            ),
            models.CheckConstraint(
                condition=models.Q(n__gte=0, accepted__gte=0, accepted__lte=models.F("n")),
                name="guardrail_tally_counts",
            ),
            models.CheckConstraint(
                condition=models.Q(gross_n__gte=0, gross_accepted__gte=0, gross_accepted__lte=models.F("gross_n")),
                name="guardrail_tally_gross",
            ),
            models.CheckConstraint(condition=models.Q(revised__gte=0), name="guardrail_tally_revised"),
        ]

    def __str__(self) -> str:
        """Name the row by variant and hour."""
        return f"{self.variant_key} at {self.outcome_hour_at:%Y-%m-%d %H:00}"


class AggregationCursor(models.Model):
    """How far the facts of a phase have been counted; of no phase: the orders into the acceptance of bundles.

    `recorded_to` is a moment of the database's clock: every fact recorded before it is counted. `served_spans` are
    the spans the count assumed; when a pause or an end changes them, the phase is counted anew. Cohort days since
    `open_from` are also kept unit by unit. A run locks the rows of its phases, so that two runs never write the same
    phase at once.
    """

    id = time_ordered_key()
    phase = models.OneToOneField(Phase, null=True, on_delete=models.CASCADE, related_name="cursor")
    recorded_to = models.DateTimeField(null=True)
    served_spans = models.JSONField(default=list)
    open_from = models.DateField(null=True)

    class Meta:
        db_table = "catalog_bundle_experiment_cursors"

    def __str__(self) -> str:
        """Name the cursor by phase."""
        return f"{self.phase_id} to {self.recorded_to}"


class VariantMetric(models.Model):
    """What a card shows of a variant: one row a UTC day, updated by each run, counted from the phase's start.

    Rates are fractions with four decimals; `lift_vs_control` is relative (0.12 is +12 %), among buyers, and null
    without control acceptance (`lift_reason` says why).
    """

    id = time_ordered_key()
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="metrics")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="metrics", db_index=False)
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="metrics")
    window_start = models.DateField(help_text="The UTC day the row is for.")
    lookback_days = models.PositiveIntegerField(default=30, help_text="Days since the phase opened, at least 1.")
    acceptance_rate = models.DecimalField(max_digits=6, decimal_places=4, default=0)
    acceptance_count = models.PositiveBigIntegerField(default=0)
    sample_size = models.PositiveBigIntegerField(default=0)
    exposed_count = models.PositiveBigIntegerField(default=0)
    lift_vs_control = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    lift_lower = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    lift_upper = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    lift_reason = models.CharField(max_length=100, blank=True)
    guardrail_breached = models.BooleanField(default=False)
    breach_reasons = models.JSONField(default=list, blank=True)
    computed_at = models.DateTimeField()
    watermark_at = models.DateTimeField(help_text="Facts recorded before this moment are counted.")
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        db_table = "catalog_bundle_experiment_metrics"
        ordering = ["-window_start", "-computed_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["variant", "phase", "window_start", "lookback_days"], name="variant_metric_day"
            ),
            models.CheckConstraint(
                condition=models.Q(acceptance_rate__gte=0, acceptance_rate__lte=1), name="variant_metric_rate_range"
            ),
            models.CheckConstraint(
                condition=models.Q(acceptance_count__lte=models.F("sample_size")), name="variant_metric_count_in_sample"
            ),
        ]

    def __str__(self) -> str:
        """Name the row by variant and day."""
        return f"{self.variant_id} on {self.window_start}"
