"""What is owed and what was done: job runs by slot, leases with fencing tokens, and where a schedule came from."""

from django.db import models
from django_celery_beat.models import PeriodicTask

from catalog_experiments.models.fields import time_ordered_key


class JobOutcome(models.TextChoices):
    """How a run ended, or that it has not."""

    RUNNING = "running", "Running"
    DONE = "done", "Done"
    SKIPPED = "skipped", "Skipped"
    FAILED = "failed", "Failed"
    DEAD = "dead", "Given up"


class JobRun(models.Model):
    """One run of a job in one slot; however many schedulers there are, a slot has one row."""

    id = time_ordered_key()
    job = models.CharField(max_length=100)
    slot_at = models.DateTimeField()
    trigger = models.CharField(max_length=32, default="schedule")
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, choices=JobOutcome.choices, default=JobOutcome.RUNNING)
    counts = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    watermark_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "catalog_job_runs"
        ordering = ["-slot_at"]
        indexes = [models.Index(fields=["job", "-started_at"], name="job_run_started")]
        constraints = [
            models.UniqueConstraint(fields=["job", "slot_at"], name="job_run_slot"),
            models.CheckConstraint(condition=models.Q(outcome__in=JobOutcome.values), name="job_run_outcome_known"),
        ]

    def __str__(self) -> str:
        """Name the run by job and slot."""
        return f"{self.job} at {self.slot_at:%Y-%m-%d %H:%M}: {self.outcome}"


class JobLease(models.Model):
    """Who may do a job's work now; `token` grows at each takeover and fences a stalled owner's writes."""

    job = models.CharField(max_length=200, primary_key=True)
    owner = models.CharField(max_length=200, blank=True)
    token = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_job_leases"

    def __str__(self) -> str:
        """Name the lease by its job."""
        return self.job


class ScheduleOrigin(models.Model):
    """What the schedule file last said of a periodic task, to tell an edit in the admin from one in the file."""

    task = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, related_name="origin")
    job = models.CharField(max_length=100, unique=True)
    file_hash = models.CharField(max_length=64)
    synced_fields = models.JSONField(default=dict)

    class Meta:
        db_table = "catalog_schedule_origins"

    def __str__(self) -> str:
        """Name the origin by its job."""
        return self.job
