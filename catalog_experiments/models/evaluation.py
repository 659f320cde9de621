"""The frozen record of each guardrail evaluation, chained by hash."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

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


class GuardrailEvaluationQuerySet(models.QuerySet["GuardrailEvaluation"]):
    """Questions about many records."""

    def newest_of(self, phases: Iterable[UUID | None]) -> dict[Any, "GuardrailEvaluation"]:
        """Return each phase's newest record in force by phase id, in one query; phases without one are absent.

        Takes ids, of which None is none. Reads one record a phase, however many it has.
        """
        # What was superseded came too late: nobody acted on it or was told, so the record before it is still in force.
        in_force = GuardrailEvaluation.objects.exclude(action=EvaluationAction.SUPERSEDED)
        # Between, for only the index by phase can give that order: searched along the sequence, the newest record of a
        # phase that ended long ago lies behind all that came since.
        of_phase = in_force.filter(phase__gte=models.OuterRef("pk"), phase__lte=models.OuterRef("pk"))
        of_phase = of_phase.order_by("phase_id", "-sequence")
        newest = Phase.objects.filter(pk__in=list(phases)).values(newest=models.Subquery(of_phase.values("pk")[:1]))
        return {record.phase_id: record for record in self.filter(pk__in=newest)}


class GuardrailEvaluation(models.Model):
    """One evaluation as it was judged: everything needed to recompute it stands in the row itself.

    `inputs` has the shape of `guardrails.record_inputs`, `verdicts` one entry per variant, control first.
    `record_hash` is SHA-256 over `previous_hash` and the canonical JSON of the row; `sequence` orders the chain.
    The database refuses UPDATE, DELETE and TRUNCATE.
    """

    id = time_ordered_key()
    sequence = models.PositiveBigIntegerField(unique=True)
    # Both are found by the indexes below, which begin with them.
    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="evaluations", db_index=False)
    phase = models.ForeignKey(Phase, on_delete=models.PROTECT, related_name="evaluations", db_index=False)
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

    objects = GuardrailEvaluationQuerySet.as_manager()

    class Meta:
        db_table = "catalog_bundle_experiment_guardrail_evaluations"
        ordering = ["-sequence"]
        indexes = [
            models.Index(fields=["phase", "-sequence"], name="evaluation_newest_of_phase"),
            # From one turn of the verdict to the one before: the newest record of each other verdict.
            models.Index(fields=["experiment", "verdict", "sequence"], name="evaluation_by_verdict"),
            models.Index(
                fields=["experiment", "sequence"],
                condition=models.Q(action=EvaluationAction.PAUSED),
                name="evaluation_that_paused",
            ),
        ]
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
