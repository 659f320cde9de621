"""Experiments in the predecessor's shape, with our additions: what comes in, and what goes out."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog_experiments.api.serializers.fields import (
    ChoiceField,
    FlagField,
    InstantField,
    ObjectField,
    SlugField,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from catalog_experiments.api.serializers.ramps import RampSerializer, RampStepSerializer, ramp_of
from catalog_experiments.models import (
    Conclusion,
    Experiment,
    ExperimentStatus,
    PauseCause,
    PrimaryMetric,
    Segment,
    UnitKind,
    Variant,
)

PROVENANCE = "catalog-experiment-service"


class VariantWriteSerializer(StrictSerializer):
    """A variant as wanted; a control may come without bundle, a test variant may not once published."""

    key = SlugField(max_length=100)
    name = TextField(max_length=150)
    weight = WholeNumberField(min_value=0, max_value=10_000, default=0, help_text="Relative; all zero means equal.")
    is_control = FlagField(default=False)
    bundle_slug = TextField(max_length=150, allow_null=True, default=None)
    override_payload = ObjectField(default=dict)


class ExperimentSettingsSerializer(StrictSerializer):
    """What a creation and an edit have in common."""

    description = TextField(max_length=500, allow_blank=True, allow_null=True, required=False)
    hypothesis = TextField(max_length=5_000, allow_blank=True, allow_null=True, required=False)
    owner = TextField(
        source="owner_username", max_length=150, allow_null=True, required=False, help_text="User name of a person."
    )
    guardrail_config = ObjectField(required=False, help_text="Replaced as a whole.")
    sample_size_guardrail = WholeNumberField(min_value=0, max_value=1_000_000, required=False)
    variants = serializers.ListField(child=VariantWriteSerializer(), max_length=50, required=False)
    coverage = WholeNumberField(min_value=0, max_value=10_000, required=False, help_text="Basis points of all units.")
    unit_kind = ChoiceField(choices=UnitKind.choices, required=False)
    is_canary = FlagField(required=False, help_text="An A/A test of the measuring itself: all variants are the same.")
    primary_metric = ChoiceField(choices=PrimaryMetric.choices, allow_blank=True, required=False)
    attribution_window_days = WholeNumberField(min_value=1, max_value=365, required=False)
    planned_sample_size = WholeNumberField(min_value=1, max_value=2_000_000_000, allow_null=True, required=False)
    stop_at_planned_sample = FlagField(required=False, help_text="Complete by itself once the sample is complete.")
    scheduled_start_at = InstantField(allow_null=True, required=False)
    scheduled_end_at = InstantField(allow_null=True, required=False)
    ramp_plan = serializers.ListField(
        child=RampStepSerializer(), max_length=20, required=False, help_text="Steps of rising coverage; [] for none."
    )
    targeting = ObjectField(required=False)
    segments = serializers.ListField(
        child=ChoiceField(choices=Segment.choices),
        max_length=len(Segment),
        required=False,
        help_text="By what results are also told apart; fixed when a phase opens.",
    )
    forced_units = ObjectField(required=False, help_text="Unit id to variant key, for QA; never counted.")
    exclusion_group = SlugField(max_length=150, allow_null=True, required=False)
    exclusion_start = WholeNumberField(min_value=0, max_value=9_999, required=False, help_text="First bucket taken.")
    exclusion_end = WholeNumberField(min_value=1, max_value=10_000, required=False, help_text="First one past it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Turn the wire's null texts into the empty ones we store."""
        for name in ("description", "hypothesis"):
            if name in attrs:
                attrs[name] = attrs[name] or ""
        return attrs


class ExperimentCreateSerializer(ExperimentSettingsSerializer):
    """A new draft."""

    slug = SlugField(max_length=150)
    name = TextField(max_length=200)


class ExperimentUpdateSerializer(ExperimentSettingsSerializer):
    """An edit: absent fields keep their values; `status` asks for the verb that leads there."""

    name = TextField(max_length=200, required=False)
    status = ChoiceField(choices=ExperimentStatus.choices, required=False)
    reason = TextField(max_length=2_000, allow_blank=True, required=False, help_text="Why; kept in the events.")


class MetricSerializer(serializers.Serializer[Any]):
    """What a variant's orders said, counted from the start of the phase; rates and lifts are fractions."""

    window_start = serializers.DateField(help_text="The UTC day the row is for.")
    lookback_days = serializers.IntegerField()
    acceptance_rate = serializers.FloatField()
    acceptance_count = serializers.IntegerField()
    sample_size = serializers.IntegerField()
    exposed_count = serializers.IntegerField()
    lift_vs_control = serializers.FloatField(allow_null=True, help_text="Among buyers; 0.12 is +12 %.")
    lift_lower = serializers.FloatField(allow_null=True)
    lift_upper = serializers.FloatField(allow_null=True)
    lift_reason = serializers.CharField(help_text="Why there is no lift; empty when there is one.")
    guardrail_breached = serializers.BooleanField()
    breach_reasons = serializers.ListField(child=serializers.CharField())
    computed_at = serializers.DateTimeField()


class VariantSerializer(serializers.Serializer[Variant]):
    """A variant with the newest metric row of the current phase, or none."""

    key = serializers.CharField()
    name = serializers.CharField()
    weight = serializers.IntegerField()
    is_control = serializers.BooleanField()
    bundle_slug = serializers.CharField(source="bundle_id", allow_null=True)
    override_payload = serializers.DictField()
    metrics = serializers.SerializerMethodField()

    @extend_schema_field(MetricSerializer(many=True))
    def get_metrics(self, variant: Variant) -> list[dict[str, Any]]:
        """Return the newest row in a list, as clients of the predecessor read it."""
        newest = self.context["metrics"].get(variant.pk)
        return [dict(MetricSerializer(newest).data)] if newest else []


class ProvenanceSerializer(serializers.Serializer[Any]):
    """Where the numbers come from and how fresh they are."""

    source = serializers.CharField(default=PROVENANCE)  # type: ignore[assignment]  # a name of DRF's own
    computed_at = serializers.DateTimeField(help_text="The newest of the rows shown.")
    published_at = serializers.DateTimeField(allow_null=True)


class ScheduledLocalSerializer(serializers.Serializer[Any]):
    """The scheduled start and end by the shop's clock."""

    time_zone = serializers.CharField()
    start = serializers.CharField(allow_null=True)
    end = serializers.CharField(allow_null=True)


class ExperimentSerializer(serializers.Serializer[Experiment]):
    """An experiment as it is; pass the newest metric rows by variant id as the context's `metrics`."""

    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.SerializerMethodField()
    status = serializers.ChoiceField(choices=ExperimentStatus.choices)
    guardrail_config = serializers.DictField()
    sample_size_guardrail = serializers.IntegerField()
    variants = VariantSerializer(many=True)
    provenance = serializers.SerializerMethodField()
    hypothesis = serializers.CharField()
    owner = serializers.SerializerMethodField()
    phase = serializers.SerializerMethodField()
    coverage = serializers.IntegerField()
    unit_kind = serializers.ChoiceField(choices=UnitKind.choices)
    is_canary = serializers.BooleanField()
    primary_metric = serializers.ChoiceField(choices=PrimaryMetric.choices, allow_blank=True)
    attribution_window_days = serializers.IntegerField()
    planned_sample_size = serializers.IntegerField(allow_null=True)
    planned_sample_at = serializers.SerializerMethodField()
    stop_at_planned_sample = serializers.BooleanField()
    scheduled_start_at = serializers.DateTimeField(allow_null=True)
    scheduled_end_at = serializers.DateTimeField(allow_null=True)
    scheduled_local = serializers.SerializerMethodField()
    schedule_refusal = serializers.CharField(
        help_text="Why a scheduled start or end did not happen; empty when it may."
    )
    ramp_plan = serializers.ListField(child=serializers.DictField())
    ramp = serializers.SerializerMethodField()
    targeting = serializers.DictField()
    segments = serializers.ListField(child=serializers.CharField())
    forced_units = serializers.DictField()
    exclusion_group = serializers.CharField(source="exclusion_group_id", allow_null=True)
    exclusion_start = serializers.IntegerField(help_text="First of the group's 10,000 buckets that is taken.")
    exclusion_end = serializers.IntegerField(help_text="First bucket past the range.")
    pending_changes = serializers.DictField(help_text="Edits that go live, in a new phase, at the next publish.")
    lock_version = serializers.IntegerField(help_text="The number before the dash of the ETag.")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    published_at = serializers.DateTimeField(allow_null=True)
    paused_at = serializers.DateTimeField(allow_null=True)
    pause_cause = serializers.ChoiceField(choices=PauseCause.choices, allow_blank=True)
    pause_reason = serializers.CharField()
    completed_at = serializers.DateTimeField(allow_null=True)
    conclusion = serializers.ChoiceField(choices=Conclusion.choices, allow_blank=True)
    winner = serializers.SerializerMethodField()
    learnings = serializers.CharField()

    def get_description(self, experiment: Experiment) -> str | None:
        """Return null where there is none, as the predecessor does."""
        return experiment.description or None

    def get_owner(self, experiment: Experiment) -> str | None:
        """Return the owner's user name."""
        return experiment.owner.get_username() if experiment.owner else None

    def get_planned_sample_at(self, experiment: Experiment) -> datetime | None:
        """Return the watermark at which the current phase's planned sample was first seen complete."""
        return experiment.current_phase.planned_sample_at if experiment.current_phase else None

    @extend_schema_field(ScheduledLocalSerializer)
    def get_scheduled_local(self, experiment: Experiment) -> dict[str, Any]:
        """Return the scheduled moments by the shop's clock, with its offset."""
        zone = settings.CATALOG_SHOP_TIME_ZONE
        moments = {"start": experiment.scheduled_start_at, "end": experiment.scheduled_end_at}
        local = {name: moment and moment.astimezone(ZoneInfo(zone)).isoformat() for name, moment in moments.items()}
        return dict(ScheduledLocalSerializer({"time_zone": zone, **local}).data)

    @extend_schema_field(RampSerializer(allow_null=True))
    def get_ramp(self, experiment: Experiment) -> dict[str, Any] | None:
        """Return where the ramp stands, null without one."""
        return ramp_of(experiment)

    def get_phase(self, experiment: Experiment) -> int | None:
        """Return the number of the current phase, null for a draft."""
        return experiment.current_phase.number if experiment.current_phase else None

    def get_winner(self, experiment: Experiment) -> str | None:
        """Return the key of the variant that was shipped."""
        return experiment.winner.key if experiment.winner else None

    @extend_schema_field(ProvenanceSerializer)
    def get_provenance(self, experiment: Experiment) -> dict[str, Any]:
        """Return the source, and the newest moment among the rows shown, so that unchanged rows repeat their bytes."""
        shown: list[datetime] = [experiment.updated_at]
        shown += [
            self.context["metrics"][v.pk].computed_at
            for v in experiment.variants.all()
            if v.pk in self.context["metrics"]
        ]
        provenance = {"source": PROVENANCE, "computed_at": max(shown), "published_at": experiment.published_at}
        return dict(ProvenanceSerializer(provenance).data)


class CheckSerializer(serializers.Serializer[Any]):
    """One check of the launch checklist, or of a conclusion."""

    code = serializers.CharField()
    outcome = serializers.ChoiceField(choices=["pass", "warn", "fail"])
    sentence = serializers.CharField()
    fix_url = serializers.CharField()


class PublishedExperimentSerializer(ExperimentSerializer):
    """The answer to publish: the experiment, and the warnings of its preflight."""

    warnings = CheckSerializer(many=True)


class ConcludedExperimentSerializer(ExperimentSerializer):
    """The answer to complete and conclude: the experiment, and what about its conclusion deserves a second look."""

    warnings = CheckSerializer(many=True)
