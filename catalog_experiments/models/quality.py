"""What is known of the telemetry itself: what came in by the hour, and when it could not be trusted."""

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
