"""The frozen record of each guardrail evaluation, chained by hash."""

from django.db import models

from catalog_experiments.models.experiment import Experiment
from catalog_experiments.models.fields import time_ordered_key
from catalog_experiments.models.phase import Phase


class EvaluationAction(models.TextChoices):
    """What an evaluation led to."""

    NONE = "none", "Nothing"
    PAUSED = "paused", "Paused"
    ALERTED = "alerted", "Alerted"
    WOULD_PAUSE = "would_pause", "Would have paused (shadow)"
    SUPERSEDED = "superseded", "Superseded"


class GuardrailEvaluation(models.Model):
    """One evaluation as it was judged: everything needed to recompute it stands in the row itself.

    `inputs` has the shape of `guardrails.record_inputs`, `verdicts` one entry per variant, control first.
    `record_hash` is SHA-256 over `previous_hash` and the canonical JSON of the row; `sequence` orders the chain.
    The database refuses UPDATE, DELETE and TRUNCATE.
    """

    id = time_ordered_key()
    sequence = models.PositiveBigIntegerField(unique=True)
    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="evaluations")
    phase = models.ForeignKey(Phase, on_delete=models.PROTECT, related_name="evaluations")
    evaluated_at = models.DateTimeField()
    watermark_at = models.DateTimeField()
    trigger = models.CharField(max_length=32)
    inputs = models.JSONField()
    inputs_digest = models.CharField(max_length=64)
    verdict = models.CharField(max_length=16, help_text="The gravest of all variants.")
    verdicts = models.JSONField()
    action = models.CharField(max_length=16, choices=EvaluationAction.choices)
    rule_version = models.CharField(max_length=32)
    previous_hash = models.CharField(max_length=64, blank=True)
    record_hash = models.CharField(max_length=64, unique=True)

    class Meta:
        db_table = "catalog_bundle_experiment_guardrail_evaluations"
        ordering = ["-sequence"]
        constraints = [
            models.UniqueConstraint(fields=["phase", "inputs_digest"], name="evaluation_once_per_input"),
            models.CheckConstraint(
                condition=models.Q(action__in=EvaluationAction.values), name="evaluation_action_known"
            ),
        ]

    def __str__(self) -> str:
        """Name the record by its place in the chain."""
        return f"evaluation {self.sequence}: {self.verdict}"


class EvaluationHead(models.Model):
    """Where the chain of evaluations ends, kept apart from it: records cut off its end are missed.

    The one row is locked by whoever appends. The database lets its sequence only grow.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    sequence = models.PositiveBigIntegerField()
    record_hash = models.CharField(max_length=64)

    class Meta:
        db_table = "catalog_bundle_experiment_guardrail_head"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="evaluation_one_head")]

    def __str__(self) -> str:
        """Name the record the chain ends with."""
        return f"head at evaluation {self.sequence}"
