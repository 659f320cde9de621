"""The phases of an experiment, in each of which one unchanged treatment ran."""

from django.db import models

from catalog_experiments.models.fields import time_ordered_key


class PhaseOrigin(models.TextChoices):
    """Where a phase's telemetry comes from."""

    PUBLISHED = "published", "Published"
    IMPORTED = "imported", "Imported"
    SEEDED = "seeded", "Seeded for QA"


class PrimaryMetric(models.TextChoices):
    """What a ship decision rests on, per exposed unit."""

    MARGIN = "margin", "Margin per visitor"
    REVENUE = "revenue", "Revenue per visitor"
    CONVERSION = "conversion", "Conversion"


class PhaseQuerySet(models.QuerySet["Phase"]):
    """Questions about many phases."""

    def with_facts(self) -> "PhaseQuerySet":
        """Keep the phases that may be counted from facts: retention has taken none of them."""
        return self.filter(facts_retired_at__isnull=True)


class Phase(models.Model):
    """One unchanged treatment with its own salt; results of phases are reported apart, never pooled.

    `variants` holds each variant as it was, control first: `{key, name, weight, is_control, bundle_slug,
    override_payload, bundle}` where `bundle` is the offer as it was or null. `bounds` is the guardrail
    configuration in force, `caps` the per-unit caps of money metrics in minor units by metric name, `alpha` the
    error budget of the whole phase, `minimum_sample` the sample guardrail.
    """

    id = time_ordered_key()
    experiment = models.ForeignKey("Experiment", on_delete=models.CASCADE, related_name="phases")
    number = models.PositiveSmallIntegerField()
    salt = models.CharField(max_length=64)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)
    variants = models.JSONField(default=list)
    anchor_product_slug = models.CharField(max_length=150, blank=True)
    bounds = models.JSONField(default=dict)
    alpha = models.FloatField(default=0.05)
    minimum_sample = models.PositiveIntegerField(default=0)
    caps = models.JSONField(default=dict)
    window_days = models.PositiveSmallIntegerField(default=7)
    primary_metric = models.CharField(max_length=16, choices=PrimaryMetric.choices, default=PrimaryMetric.REVENUE)
    currency = models.CharField(max_length=3, blank=True)
    segments = models.JSONField(default=list, blank=True)
    planned_sample_size = models.PositiveIntegerField(null=True, blank=True)
    planned_sample_at = models.DateTimeField(
        null=True, blank=True, help_text="Watermark at which the planned sample was first seen complete."
    )
    unserved_spans = models.JSONField(
        default=list,
        help_text="Pauses, and waits for the slot of the page, as [from, to or null] in ISO 8601: units meeting one "
        "are cut.",
    )
    origin = models.CharField(max_length=16, choices=PhaseOrigin.choices, default=PhaseOrigin.PUBLISHED)
    facts_retired_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when its exposures may be gone: what was summed stands, forever."
    )

    objects = PhaseQuerySet.as_manager()

    class Meta:
        db_table = "catalog_bundle_experiment_phases"
        ordering = ["experiment", "number"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "number"], name="phase_experiment_number"),
            models.UniqueConstraint(
                fields=["experiment"], condition=models.Q(closed_at__isnull=True), name="phase_one_open"
            ),
            models.CheckConstraint(condition=models.Q(alpha__gt=0, alpha__lt=1), name="phase_alpha_range"),
            models.CheckConstraint(condition=models.Q(window_days__gte=1), name="phase_window_positive"),
            models.CheckConstraint(condition=models.Q(origin__in=PhaseOrigin.values), name="phase_origin_known"),
            models.CheckConstraint(
                condition=models.Q(closed_at__isnull=True) | models.Q(closed_at__gte=models.F("opened_at")),
                name="phase_closed_after_opened",
            ),
        ]

    def __str__(self) -> str:
        """Name the phase by experiment and number."""
        return f"{self.experiment} phase {self.number}"

    @property
    def has_drop_bound(self) -> bool:
        """Say whether a drop against the control is judged in it; an edit moves the bound, never adds or removes it."""
        return self.bounds.get("max_drop_vs_control") is not None
