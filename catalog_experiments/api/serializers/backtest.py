"""What a guardrail backtest is asked, and what it answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from catalog_experiments.api.serializers.fields import NumberField, ObjectField, StrictSerializer, WholeNumberField
from catalog_experiments.api.serializers.results import VERDICTS, interval_field
from catalog_experiments.guardrails import BOUNDS


class BacktestRequestSerializer(StrictSerializer):
    """Guardrails to try out, and on how much of the past; every field may be left out."""

    guardrail_config = ObjectField(
        required=False, help_text="As an experiment's own; left out: the experiment's own, or for a bundle none."
    )
    sample_size_guardrail = WholeNumberField(
        min_value=0, max_value=1_000_000, required=False, help_text="Orders a variant needs before a verdict."
    )
    lookback_days = WholeNumberField(min_value=1, max_value=730, default=90)
    phase_days = WholeNumberField(min_value=1, max_value=56, default=14, help_text="Length of a made-up phase.")
    resamples = WholeNumberField(
        min_value=1, max_value=100, default=100, help_text="Made-up phases; fewer when long: the answer says how many."
    )
    wanted_rate = NumberField(
        min_value=0, max_value=0.5, default=0.01, help_text="Share of false pauses a suggestion may have."
    )
    seed = WholeNumberField(min_value=0, max_value=2_147_483_647, default=1)


class BacktestPauseSerializer(serializers.Serializer[Any]):
    """A variant that would have been paused, with what `guardrails.judge` said of it; rates are fractions."""

    variant_key = serializers.CharField()
    bundle_slug = serializers.CharField(allow_null=True)
    at = serializers.DateTimeField(help_text="The hourly look; a real pause may come up to an hour earlier.")
    verdict = serializers.ChoiceField(choices=VERDICTS)
    codes = serializers.ListField(child=serializers.CharField())
    sample_size = serializers.IntegerField()
    acceptance_count = serializers.IntegerField()
    acceptance_rate = serializers.FloatField(allow_null=True)
    bound = serializers.CharField(allow_null=True)
    threshold = serializers.FloatField(allow_null=True)
    limit = serializers.FloatField(allow_null=True)
    log_e = serializers.FloatField(allow_null=True)
    pause_line = serializers.FloatField(allow_null=True)
    hours_earlier = serializers.FloatField(help_text="Than the phase really stopped, or than now.")
    orders_earlier = serializers.IntegerField(help_text="Orders of the variant that still came.")


class BacktestReplaySerializer(serializers.Serializer[Any]):
    """One phase of the past, or the orders of a bundle without experiment (`phase_number` null), under the proposal."""

    slug = serializers.CharField()
    name = serializers.CharField()
    phase_number = serializers.IntegerField(allow_null=True)
    opened_at = serializers.DateTimeField()
    stopped_at = serializers.DateTimeField()
    ending = serializers.ChoiceField(choices=["guardrail", "paused", "closed", "open", "orders"])
    orders = serializers.IntegerField()
    would_pause = BacktestPauseSerializer(many=True, help_text="Empty: it would have run on.")


class BacktestBaselineSerializer(serializers.Serializer[Any]):
    """The orders that stand for "nothing is wrong"."""

    source = serializers.CharField()  # type: ignore[assignment]  # a name of DRF's own
    days = serializers.FloatField()
    orders = serializers.IntegerField()
    acceptance_rate = serializers.FloatField()


class ControlFitSerializer(serializers.Serializer[Any]):
    """How the control's own history lies to a bound; days and hours with fewer than 20 orders are left out."""

    bound = serializers.CharField()
    threshold = serializers.FloatField()
    acceptance_rate = serializers.FloatField()
    outside_days = serializers.IntegerField()
    days = serializers.IntegerField()
    outside_hours = serializers.IntegerField()
    hours = serializers.IntegerField()
    crossed_at = serializers.DateTimeField(
        allow_null=True, help_text="When the evidence against the control itself reached the pause line."
    )
    fitting_threshold = serializers.FloatField(
        help_text="The strictest that the control surely reaches and its history does not refute."
    )
    is_stuck = serializers.BooleanField()


class FalseAlarmsSerializer(serializers.Serializer[Any]):
    """Of the made-up healthy phases, how many the proposal pauses."""

    method = serializers.ChoiceField(choices=["weeks", "days"])
    resamples = serializers.IntegerField()
    phase_days = serializers.IntegerField()
    seed = serializers.IntegerField()
    paused = serializers.IntegerField()
    rate = serializers.FloatField()
    interval = interval_field(help_text="Wilson, 95 %.")


class LadderStepSerializer(serializers.Serializer[Any]):
    """A threshold, and the share of healthy phases that it or a milder one pauses."""

    threshold = serializers.FloatField()
    rate = serializers.FloatField()


class SuggestionSerializer(serializers.Serializer[Any]):
    """The strictest threshold with the wanted share of false pauses; null when there is none."""

    bound = serializers.ChoiceField(choices=BOUNDS[:2])
    wanted_rate = serializers.FloatField()
    threshold = serializers.FloatField(allow_null=True)
    rate = serializers.FloatField(allow_null=True, help_text="Measured at the threshold.")
    ladder = LadderStepSerializer(
        many=True, help_text="From the mildest to the strictest that the control surely reaches."
    )


class BacktestSerializer(serializers.Serializer[Any]):
    """What the past says of the proposal."""

    slug = serializers.CharField()
    name = serializers.CharField()
    guardrail_config = serializers.DictField(help_text="As tried out, without defaults.")
    sample_size_guardrail = serializers.IntegerField()
    lookback_days = serializers.IntegerField()
    sentences = serializers.ListField(child=serializers.CharField(), help_text="The same in words.")
    replays = BacktestReplaySerializer(many=True)
    baseline = BacktestBaselineSerializer(allow_null=True)
    is_stuck = serializers.BooleanField(help_text="The control itself misses a proposed bound.")
    control_fit = ControlFitSerializer(many=True)
    false_alarms = FalseAlarmsSerializer(allow_null=True, help_text="Null: too little history, or no bound.")
    suggestions = SuggestionSerializer(many=True)
    missing = serializers.CharField(help_text="What is missing for false alarms and suggestions; empty when nothing.")
    notes = serializers.ListField(child=serializers.CharField())
