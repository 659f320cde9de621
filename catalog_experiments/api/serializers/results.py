"""What experiments came to: the report, the guardrail evaluation, the history of metrics and events."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from catalog_experiments.api.serializers.experiments import MetricSerializer
from catalog_experiments.api.serializers.quality import DataQualitySerializer, UnitCountsSerializer
from catalog_experiments.guardrails import Verdict
from catalog_experiments.models import ExperimentStatus

VERDICTS = [verdict.value for verdict in Verdict]


def interval_field(**options: Any) -> serializers.ListField:
    """Build the field of an interval `[lower, upper]`, null when it can't be given yet."""
    return serializers.ListField(
        child=serializers.FloatField(allow_null=True), min_length=2, max_length=2, allow_null=True, **options
    )


class AdjustedReportSerializer(serializers.Serializer[Any]):
    """The difference adjusted by past revenue (CUPED), beside the raw one."""

    difference = serializers.FloatField(allow_null=True)
    standard_error = serializers.FloatField(allow_null=True)
    interval = interval_field()
    relative_lift = serializers.FloatField(allow_null=True, help_text="Over the control's raw mean.")
    variance_reduction = serializers.FloatField(allow_null=True, help_text="Share of the raw variance that went away.")
    reason = serializers.CharField()


class MetricReportSerializer(serializers.Serializer[Any]):
    """One metric per exposed unit against control; money in minor units, rates and lifts as fractions."""

    metric = serializers.CharField()
    n = serializers.IntegerField(help_text="Complete units.")
    mean = serializers.FloatField(allow_null=True)
    difference = serializers.FloatField(allow_null=True)
    standard_error = serializers.FloatField(allow_null=True)
    interval = interval_field(help_text="Of the difference; sequential while the experiment runs.")
    z = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True, help_text="Null before the planned end.")
    relative_lift = serializers.FloatField(allow_null=True)
    relative_interval = interval_field()
    is_mature = serializers.BooleanField()
    reason = serializers.CharField(help_text="Why something is missing; empty when nothing is.")
    adjusted = AdjustedReportSerializer(allow_null=True)


class SegmentVariantReportSerializer(serializers.Serializer[Any]):
    """One variant among the units of a segment."""

    key = serializers.CharField()
    name = serializers.CharField()
    is_control = serializers.BooleanField()
    metrics = MetricReportSerializer(many=True)


class SegmentReportSerializer(serializers.Serializer[Any]):
    """One pre-registered segment, exploratory: a single one decides nothing."""

    kind = serializers.CharField(help_text="device, country or history.")
    value = serializers.CharField()
    variants = SegmentVariantReportSerializer(many=True)


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
    acceptance_interval = interval_field()
    lift = serializers.FloatField(allow_null=True, help_text="Of acceptance, among buyers; from counts.")
    lift_interval = interval_field()
    lift_reason = serializers.CharField()
    metrics = MetricReportSerializer(many=True)
    units = UnitCountsSerializer()


class SrmReportSerializer(serializers.Serializer[Any]):
    """Whether units landed in the variants in the planned ratio; lists run as the variants do, control first."""

    method = serializers.ChoiceField(choices=["sequential", "chi_square"])
    counts = serializers.ListField(child=serializers.IntegerField())
    planned_shares = serializers.ListField(child=serializers.FloatField())
    p_value = serializers.FloatField()
    is_mismatch = serializers.BooleanField(help_text="No result can be trusted then.")
    statistic = serializers.FloatField(allow_null=True)
    log_e = serializers.FloatField(allow_null=True)


class BuyersSerializer(serializers.Serializer[Any]):
    """Who bought the slot's product while the phase served, one per unit, by the variant that an order names."""

    met = serializers.DictField(child=serializers.IntegerField(), help_text="With an exposure that counts.")
    unmet = serializers.DictField(child=serializers.IntegerField(), help_text="Without any exposure.")
    unnamed = serializers.IntegerField(help_text="Without any exposure, and no order names an offer: not knowable.")
    nameless = serializers.IntegerField(help_text="Orders without a unit.")
    is_partial = serializers.BooleanField(help_text="Only the newest orders of the phase were looked at.")


class LeftOutRatiosSerializer(serializers.Serializer[Any]):
    """The final checks of those whom the sample ratio leaves out; null while there are too few of them."""

    mixed = SrmReportSerializer(allow_null=True)
    unmet = SrmReportSerializer(allow_null=True)
    buyers = BuyersSerializer(allow_null=True)


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
    segments = SegmentReportSerializer(many=True)
    quality = DataQualitySerializer(allow_null=True)
    left_out_ratios = LeftOutRatiosSerializer(allow_null=True, help_text="Once the report is final.")


class MetricHistorySerializer(MetricSerializer):
    """One stored row: which variant, which phase, and what was counted."""

    variant_key = serializers.CharField(source="variant.key")
    phase = serializers.IntegerField(source="phase.number")
    watermark_at = serializers.DateTimeField()


class EventSerializer(serializers.Serializer[Any]):
    """Who did what, what changed, and why."""

    id = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()
    actor = serializers.CharField(help_text="user:<name>, key:<name> or system:<job>.")
    action = serializers.CharField()
    reason = serializers.CharField()
    before = serializers.DictField()
    after = serializers.DictField()


class SpanSerializer(serializers.Serializer[Any]):
    """Outcomes of one variant from an opening until now."""

    kind = serializers.CharField()
    opened_at = serializers.DateTimeField()
    n = serializers.IntegerField()
    accepted = serializers.IntegerField()


class BoundEvidenceSerializer(serializers.Serializer[Any]):
    """How strongly the counts speak against one bound; the pause line is crossed at `log_e` >= ln(`pause_line`)."""

    bound = serializers.CharField()
    threshold = serializers.FloatField()
    estimate = serializers.FloatField(allow_null=True)
    limit = serializers.FloatField(allow_null=True)
    alpha_share = serializers.FloatField()
    pause_line = serializers.FloatField()
    log_e = serializers.FloatField(allow_null=True)
    is_crossed = serializers.BooleanField()
    is_outage = serializers.BooleanField()
    span = SpanSerializer(allow_null=True)
    control = SpanSerializer(allow_null=True)


class VariantBreachSerializer(serializers.Serializer[Any]):
    """One variant: `breaches` compares the newest row literally; `verdict` alone is evidence."""

    variant_key = serializers.CharField()
    bundle_slug = serializers.CharField(allow_null=True)
    breaches = serializers.ListField(child=serializers.CharField())
    latest_metric = MetricSerializer(allow_null=True)
    verdict = serializers.ChoiceField(choices=VERDICTS)
    codes = serializers.ListField(child=serializers.CharField(), help_text="Reasons of the verdict.")
    is_control = serializers.BooleanField()
    evidence = BoundEvidenceSerializer(many=True)


class EvaluationRecordSerializer(serializers.Serializer[Any]):
    """A frozen record: its place in the chain, its hash, and as of when it was judged."""

    sequence = serializers.IntegerField()
    record_hash = serializers.CharField()
    watermark_at = serializers.DateTimeField()
    evaluated_at = serializers.DateTimeField()
    verdict = serializers.ChoiceField(choices=VERDICTS)
    action = serializers.CharField()


class EvaluationSerializer(serializers.Serializer[Any]):
    """What the guardrails say now; every variant is listed, breached or not."""

    experiment = serializers.CharField()
    breaches = VariantBreachSerializer(many=True)
    verdict = serializers.ChoiceField(choices=VERDICTS, help_text="The gravest of all.")
    evaluated_at = serializers.DateTimeField()
    is_latched = serializers.BooleanField(help_text="The verdicts are those that paused the experiment.")
    would_no_longer_cross = serializers.BooleanField(help_text="Orders as they are counted now would not pause it.")
    record = EvaluationRecordSerializer(
        allow_null=True, help_text="The newest record in force; the verdicts are its own while nothing is news."
    )
