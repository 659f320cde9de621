"""The rarer parts of the draft page: when it starts and ends, how the traffic grows, and the advanced settings."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.forms.formsets import formset_factory

from catalog_experiments.admin import guardrail_fields
from catalog_experiments.models import PrimaryMetric, UnitKind
from catalog_experiments.ramp_plans import MOST_STEPS, Reaction
from catalog_experiments.shop_time import UnclearTime, from_shop_clock

REACTIONS = [
    (Reaction.HOLD.value, "wait"),
    (Reaction.ROLL_BACK.value, "go one step back"),
    (Reaction.WARN.value, "note it and go on"),
]


class ShopTimeField(forms.Field):
    """A moment by the shop's clock, kept in UTC; `known` is what was shown, and stays when nobody touched it."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"})
    known: dt.datetime | None = None

    def __init__(self, **options: Any) -> None:
        """Never required: blank means no such moment."""
        super().__init__(required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        """Return a stored moment as the browser's field writes it."""
        return f"{value.astimezone(_zone()):%Y-%m-%dT%H:%M}" if isinstance(value, dt.datetime) else value

    def to_python(self, value: Any) -> dt.datetime | None:
        """Read the shop's clock; a time that it shows never, or twice, is refused with the remedy."""
        if value in self.empty_values:
            return None
        if value == self.prepare_value(self.known):
            return self.known  # as it was, down to its seconds and its side of a turned clock
        try:
            local = dt.datetime.fromisoformat(value)
            return local if local.tzinfo else from_shop_clock(local, _zone())
        except UnclearTime as unclear:
            raise forms.ValidationError(str(unclear), code=unclear.code) from unclear
        except (ValueError, OverflowError) as broken:
            raise forms.ValidationError("Write a time such as 2026-11-24 14:00.", code="invalid") from broken


class ScheduleSection(forms.Form):
    """When the experiment starts and ends by itself."""

    scheduled_start_at = ShopTimeField(
        label="Start", help_text="The launch checklist runs again then; a failing one leaves the draft and tells you."
    )
    scheduled_end_at = ShopTimeField(
        label="End", help_text="Completes it; visitors whose window is not over by then are left out of the result."
    )
    planned_sample_size = forms.IntegerField(
        label="Planned sample",
        required=False,
        min_value=1,
        help_text="Visitors per variant at which the result is final.",
    )
    stop_at_planned_sample = forms.BooleanField(
        label="Complete it by itself when the planned sample is there", required=False
    )


class AdvancedSection(forms.Form):
    """What most experiments leave as it is."""

    owner = forms.CharField(
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"list": "people"}),
        help_text="Named in alerts about it.",
    )
    primary_metric = forms.ChoiceField(
        required=False,
        choices=[("", "margin when every cost is known, else revenue"), *PrimaryMetric.choices],
        help_text="What a ship decision rests on, per visitor.",
    )
    unit_kind = forms.ChoiceField(
        label="Randomize", required=False, choices=UnitKind.choices, help_text="Fixed at publish."
    )
    is_canary = forms.BooleanField(
        label="A/A canary",
        required=False,
        help_text="Every variant the same, no bounds: it watches the measuring itself. Fixed at publish.",
    )
    attribution_window_days = forms.IntegerField(
        label="Window, days",
        required=False,
        min_value=1,
        max_value=90,
        help_text="Orders count for so long after a visitor first saw the offer.",
    )
    alpha = guardrail_fields.alpha("Of the whole experiment, split over variants and bounds. Blank: 0.05.")
    mode = forms.ChoiceField(
        label="Guardrails",
        required=False,
        choices=[("enforce", "pause the experiment"), ("shadow", "only tell that they would have")],
    )
    pause_rule = guardrail_fields.pause_rule(
        "Misses in a row pause most healthy experiments (the checklist tells how many); evidence keeps the "
        "chance above."
    )
    pause_rule_reason = forms.CharField(
        label="Why misses in a row", required=False, max_length=500, help_text="Needed with that rule, and kept."
    )
    consecutive = guardrail_fields.consecutive()
    drop_metric = forms.ChoiceField(
        label="A drop is measured in",
        required=False,
        choices=[("conversion", "conversion"), ("take_rate", "take rate"), ("revenue", "revenue per visitor")],
        help_text="Within 24 hours of seeing the offer, each visitor once.",
    )
    targeting = forms.JSONField(
        required=False,
        initial=dict,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text='Who takes part, such as {"country": {"$in": ["DE", "AT"]}}. {} is everyone.',
    )

    def clean_targeting(self) -> Any:
        """Blank means everyone."""
        return {} if self.cleaned_data["targeting"] is None else self.cleaned_data["targeting"]


class RampStepForm(forms.Form):
    """One step of the ramp; a blank share means that the row is not used."""

    coverage_percent = forms.FloatField(label="Share of visitors, %", required=False, min_value=0.01, max_value=100)
    minimum_hours = forms.IntegerField(
        label="At least, hours", required=False, min_value=0, max_value=2_160, help_text="Blank: 24."
    )
    minimum_sample = forms.IntegerField(
        label="At least, visitors a variant", required=False, min_value=0, help_text="Blank: any number."
    )
    on_guardrail = forms.ChoiceField(
        label="A guardrail is broken", required=False, choices=REACTIONS, initial=Reaction.ROLL_BACK.value
    )
    on_sample_ratio = forms.ChoiceField(label="Variants off their shares", required=False, choices=REACTIONS)
    on_hold = forms.ChoiceField(label="Other doubts about the data", required=False, choices=REACTIONS)


RampFormSet = formset_factory(RampStepForm, extra=1, max_num=MOST_STEPS, validate_max=True)


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.CATALOG_SHOP_TIME_ZONE)
