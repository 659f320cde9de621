"""Is the measuring itself right? What re-splitting past visitors gave, and since when an A/A comparison says no."""

from django.db import models

from catalog_experiments.models.fields import time_ordered_key
from catalog_experiments.models.phase import Phase


class CalibrationRun(models.Model):
    """Past visitors split at random again and again: how often two equal halves were told apart.

    The units drawn and the salts of the splits follow from `seed`. With too few units nothing was split:
    `rejection_count` and `is_red` are null then.
    """

    id = time_ordered_key()
    ran_at = models.DateTimeField()
    since_at = models.DateTimeField(help_text="Units first seen from here on until the run.")
    seed = models.CharField(max_length=64)
    unit_count = models.PositiveIntegerField()
    buyer_count = models.PositiveIntegerField(help_text="Units that ordered within their window.")
    split_count = models.PositiveSmallIntegerField()
    rejection_count = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Splits whose halves differed at 0.05."
    )
    is_red = models.BooleanField(null=True, blank=True)

    class Meta:
        db_table = "catalog_calibration_runs"
        ordering = ["-ran_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(rejection_count__isnull=True, is_red__isnull=True)
                | models.Q(
                    rejection_count__isnull=False, rejection_count__lte=models.F("split_count"), is_red__isnull=False
                ),
                name="calibration_verdict_whole",
            ),
            models.CheckConstraint(
                condition=models.Q(buyer_count__lte=models.F("unit_count")), name="calibration_buyers_are_units"
            ),
        ]

    def __str__(self) -> str:
        """Say what the run came to."""
        told = "no verdict" if self.rejection_count is None else f"{self.rejection_count} of {self.split_count}"
        return f"calibration of {self.ran_at:%Y-%m-%d}: {told}"


class CanaryAlarmQuerySet(models.QuerySet["CanaryAlarm"]):
    """Questions about many alarms."""

    def standing(self) -> "CanaryAlarmQuerySet":
        """Keep the alarms that nobody and nothing has ended."""
        return self.filter(ended_at__isnull=True)


class CanaryAlarm(models.Model):
    """An A/A comparison turned red: of a canary's phase, or of a calibration run. While one stands, verdicts hold.

    `evidence` holds the numbers, `ended_by` is "user:<username>" or "system:canary". A phase is red once: what a person
    has acknowledged does not come back.
    """

    id = time_ordered_key()
    raised_at = models.DateTimeField()
    phase = models.OneToOneField(
        Phase, null=True, blank=True, on_delete=models.PROTECT, related_name="canary_alarm", help_text="Of a canary."
    )
    calibration = models.OneToOneField(
        CalibrationRun, null=True, blank=True, on_delete=models.PROTECT, related_name="alarm"
    )
    finding = models.TextField(help_text="What is wrong, with its numbers.")
    evidence = models.JSONField(default=dict)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)
    end_reason = models.TextField(blank=True)

    objects = CanaryAlarmQuerySet.as_manager()

    class Meta:
        db_table = "catalog_canary_alarms"
        ordering = ["-raised_at"]
        indexes = [
            models.Index(fields=["raised_at"], condition=models.Q(ended_at__isnull=True), name="canary_alarm_standing")
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(phase__isnull=False, calibration__isnull=True)
                | models.Q(phase__isnull=True, calibration__isnull=False),
                name="canary_alarm_one_source",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True, ended_by="", end_reason="")
                | (
                    models.Q(ended_at__isnull=False, ended_at__gte=models.F("raised_at"))
                    & ~models.Q(ended_by="")
                    & ~models.Q(end_reason="")
                ),
                name="canary_alarm_end_whole",
            ),
        ]

    def __str__(self) -> str:
        """Name the alarm by what turned red."""
        return str(self.phase or self.calibration)
