"""What is known of the telemetry itself: what came in by the hour, how it was answered, and when not to trust it."""

from django.db import models

from catalog_experiments.models.fields import time_ordered_key
from catalog_experiments.models.phase import Phase


class TelemetryHour(models.Model):
    """What came in about one phase within one UTC hour: exposures, and orders of the product on whose page it runs.

    `joined_count` are the orders of a unit that met the phase, `foreign_count` those of them in another currency than
    the phase's. Cancelled orders count: the question is whether telemetry joins, not what was earned.
    """

    id = time_ordered_key()
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="telemetry_hours", db_index=False)
    hour_at = models.DateTimeField()
    exposed_count = models.PositiveBigIntegerField(default=0)
    order_count = models.PositiveBigIntegerField(default=0)
    joined_count = models.PositiveBigIntegerField(default=0)
    foreign_count = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "catalog_bundle_experiment_telemetry_hours"
        indexes = [models.Index(fields=["hour_at"], name="telemetry_hour_at")]
        constraints = [
            models.UniqueConstraint(fields=["phase", "hour_at"], name="telemetry_hour_key"),
            models.CheckConstraint(
                condition=models.Q(
                    joined_count__lte=models.F("order_count"), foreign_count__lte=models.F("joined_count")
                ),
                name="telemetry_hour_counts",
            ),
        ]

    def __str__(self) -> str:
        """Name the row by its hour."""
        return f"{self.phase_id} at {self.hour_at:%Y-%m-%d %H:00}"


class IntakeKind(models.TextChoices):
    """What can be reported to telemetry."""

    EXPOSURES = "exposures", "Exposures"
    ORDERS = "orders", "Orders"
    ALIASES = "aliases", "Aliases"


class IntakeOutcome(models.Model):
    """How many reports of one kind got the same answer within one UTC hour, where it was not plainly "stored".

    Plain are new facts, units held out, and revisions of an order: those are in the facts themselves. `outcome` and
    `code` are the answer's. Counted after the batch was stored, each report at most once: a count may be short when the
    database was away, never too high. No unit, reference or key stands in it.
    """

    id = time_ordered_key()
    kind = models.CharField(max_length=16, choices=IntakeKind.choices)
    hour_at = models.DateTimeField()
    outcome = models.CharField(max_length=16)
    code = models.CharField(max_length=64, blank=True, help_text="Empty where the outcome says it all.")
    report_count = models.PositiveBigIntegerField()

    class Meta:
        db_table = "catalog_intake_outcomes"
        ordering = ["-hour_at", "kind", "outcome", "code"]
        constraints = [
            models.UniqueConstraint(fields=["hour_at", "kind", "outcome", "code"], name="intake_outcome_key"),
            models.CheckConstraint(condition=models.Q(kind__in=IntakeKind.values), name="intake_outcome_kind_known"),
        ]

    def __str__(self) -> str:
        """Name the row by what was answered and when."""
        told = f"{self.outcome} ({self.code})" if self.code else self.outcome
        return f"{self.kind} {told} at {self.hour_at:%Y-%m-%d %H:00}"


class TelemetryGap(models.Model):
    """A stretch of a phase whose data a passing cause kept from being trusted; `ended_at` is null while it does."""

    id = time_ordered_key()
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="telemetry_gaps", db_index=False)
    cause = models.CharField(max_length=32)
    started_at = models.DateTimeField(help_text="As of which moment the data was still good.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "catalog_bundle_experiment_telemetry_gaps"
        ordering = ["started_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["phase", "cause"], condition=models.Q(ended_at__isnull=True), name="telemetry_gap_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True) | models.Q(ended_at__gte=models.F("started_at")),
                name="telemetry_gap_ordered",
            ),
        ]
        indexes = [models.Index(fields=["phase", "started_at"], name="telemetry_gap_phase")]

    def __str__(self) -> str:
        """Name the gap by its cause and start."""
        return f"{self.cause} from {self.started_at:%Y-%m-%d %H:%M}"
