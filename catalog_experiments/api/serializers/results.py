"""What experiments came to: the report, the guardrail evaluation, the history of metrics and events."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog_experiments.api.serializers.experiments import MetricSerializer
from catalog_experiments.guardrails import Verdict
from catalog_experiments.models import ExperimentEvent, ExperimentStatus, VariantMetric


def interval(**options: Any) -> serializers.ListField:
    """Build the field of an interval `[lower, upper]`, null when it can't be given yet."""
    return serializers.ListField(
        child=serializers.FloatField(allow_null=True), min_length=2, max_length=2, allow_null=True, **options
    )


class MetricReportSerializer(serializers.Serializer[Any]):
    """One metric per exposed unit against control; money in minor units, rates and lifts as fractions."""

    metric = serializers.CharField()
    n = serializers.IntegerField(help_text="Complete units.")
    mean = serializers.FloatField(allow_null=True)
    difference = serializers.FloatField(allow_null=True)
    standard_error = serializers.FloatField(allow_null=True)
    interval = interval(help_text="Of the difference; sequential while the experiment runs.")
    z = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True, help_text="Null before the planned end.")
    relative_lift = serializers.FloatField(allow_null=True)
    relative_interval = interval()
    is_mature = serializers.BooleanField()
    reason = serializers.CharField(help_text="Why something is missing; empty when nothing is.")


class VariantReportSerializer(serializers.Serializer[Any]):
    """One variant: acceptance among buyers, and metrics per exposed unit."""

    key = serializers.CharField()
    name = serializers.CharField()
    is_control = serializers.BooleanField()
    bundle_slug = serializers.CharField(allow_null=True)
    exposed_count = serializers.IntegerField()
    sample_size = serializers.IntegerField()
    acceptance_count = serializers.IntegerField()
    acceptance_rate = serializers.FloatField(allow_null=True)
    acceptance_interval = interval()
    lift = serializers.FloatField(allow_null=True, help_text="Of acceptance, among buyers; from counts.")
    lift_interval = interval()
    lift_reason = serializers.CharField()
    metrics = MetricReportSerializer(many=True)


class SrmReportSerializer(serializers.Serializer[Any]):
    """Whether units landed in the variants in the planned ratio."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the fields of the report as they are."""
        return dict(super().to_representation(instance))


class ReportSerializer(serializers.Serializer[Any]):
    """The present phase of an experiment, the control first."""

    slug = serializers.CharField()
    status = serializers.ChoiceField(choices=ExperimentStatus.choices)
    phase_number = serializers.IntegerField(allow_null=True)
    opened_at = serializers.DateTimeField(allow_null=True)
    watermark_at = serializers.DateTimeField(allow_null=True, help_text="Facts recorded before it are counted.")
    variants = VariantReportSerializer(many=True)
    srm = SrmReportSerializer(allow_null=True)
    primary_metric = serializers.CharField()
    currency = serializers.CharField()
    planned_sample_size = serializers.IntegerField(allow_null=True)
    notes = serializers.ListField(child=serializers.CharField())
    is_final = serializers.BooleanField(help_text="Whether fixed-horizon results are shown.")


class MetricHistorySerializer(MetricSerializer):
    """One stored row: which variant, which phase, and what was counted."""

    variant_key = serializers.CharField(source="variant.key")
    phase = serializers.IntegerField(source="phase.number")
    watermark_at = serializers.DateTimeField()

    class Meta:
        model = VariantMetric


class EventSerializer(serializers.Serializer[ExperimentEvent]):
    """Who did what, what changed, and why."""

    id = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()
    actor = serializers.CharField(help_text="user:<name>, key:<name> or system:<job>.")
    action = serializers.CharField()
    reason = serializers.CharField()
    before = serializers.DictField()
    after = serializers.DictField()


class VariantBreachSerializer(serializers.Serializer[Any]):
    """One variant: `breaches` compares the newest row literally; `verdict` alone is evidence."""

    variant_key = serializers.CharField()
    bundle_slug = serializers.CharField(allow_null=True)
    breaches = serializers.ListField(child=serializers.CharField())
    latest_metric = MetricSerializer(allow_null=True)
    verdict = serializers.ChoiceField(choices=[verdict.value for verdict in Verdict])
    evidence = serializers.SerializerMethodField()

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_evidence(self, breach: Any) -> Any:
        """Return the numbers behind the verdict."""
        return breach.evidence


class EvaluationSerializer(serializers.Serializer[Any]):
    """What the guardrails say now; every variant is listed, breached or not."""

    experiment = serializers.CharField()
    breaches = VariantBreachSerializer(many=True)
    verdict = serializers.ChoiceField(choices=[verdict.value for verdict in Verdict], help_text="The gravest of all.")
    evaluated_at = serializers.DateTimeField()
