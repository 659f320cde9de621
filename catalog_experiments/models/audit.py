"""Who did what to an experiment, before and after, and why."""

from django.db import models

from catalog_experiments.models.experiment import Experiment
from catalog_experiments.models.fields import time_ordered_key


class ExperimentEvent(models.Model):
    """One change, written in the transaction of the change; append-only, and it outlives a deleted draft.

    `actor` is "user:<username>", "key:<name>" or "system:<job>"; `before` and `after` hold what changed only.
    """

    id = time_ordered_key()
    experiment = models.ForeignKey(
        Experiment, on_delete=models.DO_NOTHING, db_constraint=False, related_name="events", db_index=False
    )
    experiment_slug = models.CharField(max_length=150)
    occurred_at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=50)
    reason = models.TextField(blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        db_table = "catalog_bundle_experiment_events"
        ordering = ["-occurred_at", "-id"]
        indexes = [models.Index(fields=["experiment", "-occurred_at"], name="event_experiment_time")]

    def __str__(self) -> str:
        """Say who did what."""
        return f"{self.actor} {self.action} {self.experiment_slug}"
