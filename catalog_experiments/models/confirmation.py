"""Whether the storefront was seen to serve what it was told, as a visitor would see it."""

from datetime import timedelta

from django.db import models

from catalog_experiments.models.experiment import Experiment, ExperimentStatus
from catalog_experiments.models.fields import time_ordered_key


class LiveConfirmation(models.Model):
    """One promise of a published document to one experiment's visitors, kept until somebody saw it fulfilled.

    Written in the transaction that publishes, pauses, resumes or completes. `status` is what the experiment became; a
    later promise to the same experiment supersedes an earlier one. `problem` says what the last look found instead.
    """

    id = time_ordered_key()
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="confirmations")
    document_version = models.PositiveBigIntegerField()
    status = models.CharField(max_length=16, choices=ExperimentStatus.choices)
    promised_at = models.DateTimeField()
    next_look_at = models.DateTimeField(null=True, help_text="Null: nobody looks any more.")
    looks = models.PositiveIntegerField(default=0)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    alerted_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True)

    class Meta:
        db_table = "catalog_live_confirmations"
        ordering = ["-promised_at"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "document_version"], name="confirmation_experiment_version"),
            models.CheckConstraint(
                condition=models.Q(confirmed_at__isnull=True) | models.Q(next_look_at__isnull=True),
                name="confirmation_ends_the_looking",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at"], name="confirmation_due", condition=models.Q(next_look_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        """Name the promise by experiment and document."""
        return f"{self.experiment_id} {self.status} in document {self.document_version}"

    @property
    def delay(self) -> timedelta | None:
        """How long it took from the promise to the sight of it; None while unconfirmed."""
        return self.confirmed_at - self.promised_at if self.confirmed_at else None
