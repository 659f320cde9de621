"""The forms of the draft page; they check what a form can, the domain checks the rest."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.forms.formsets import BaseFormSet, formset_factory

from catalog_experiments.admin import guardrail_fields
from catalog_experiments.admin.draft_sections import AdvancedSection, ScheduleSection, ShopTimeField
from catalog_experiments.drafting.validation import MOST_VARIANTS
from catalog_experiments.field_errors import FieldError


class ExperimentForm(ScheduleSection, AdvancedSection):
    """What an experiment is, and when it must stop; rates are asked in per cent."""

    lock_version = forms.IntegerField(widget=forms.HiddenInput, required=False)
    slug = forms.CharField(max_length=150, help_text="Lower-case letters, digits, - and _; stands in addresses.")
    name = forms.CharField(max_length=200)
    description = forms.CharField(max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 2}))
    hypothesis = forms.CharField(
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What do you expect, and why? It stands beside the result.",
    )
    sample_size_guardrail = guardrail_fields.sample_before_verdict(
        initial=250,
        help_text="Per variant. Until then the card says collecting; an outage pauses at any sample.",
    )
    min_acceptance_percent = guardrail_fields.bound(
        "Least acceptance, %",
        "Pauses a test variant once the evidence says that fewer orders take it. Leave blank for none.",
    )
    max_acceptance_percent = guardrail_fields.bound(
        "Most acceptance, %", "Catches anomalous spikes. Leave blank for none."
    )
    max_drop_percent = guardrail_fields.bound(
        "Largest drop against control, %", "Of conversion within 24 hours. Blank: none."
    )
    coverage_percent = forms.FloatField(
        label="Share of visitors, %",
        initial=100,
        min_value=0,
        max_value=100,
        help_text="The rest sees the control. With a ramp, its first step counts.",
    )
    exclusion_group = forms.CharField(
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"list": "exclusion-groups"}),
        help_text="Experiments of one group never meet the same visitor. Blank: none.",
    )
    exclusion_start = forms.IntegerField(
        label="Group range from",
        initial=0,
        min_value=0,
        max_value=9_999,
        required=False,
        help_text="Of the group's 10,000 buckets, the first.",
    )
    exclusion_end = forms.IntegerField(
        label="Group range to",
        initial=10_000,
        min_value=1,
        max_value=10_000,
        required=False,
        help_text="The first bucket that is not taken any more.",
    )

    def __init__(self, *args: Any, is_new: bool = True, is_published: bool = False, **kwargs: Any) -> None:
        """Lock what stays: the slug, which addresses and events name, and once published start and randomized kind."""
        super().__init__(*args, **kwargs)
        self.fields["slug"].disabled = not is_new
        for name in ("scheduled_start_at", "unit_kind", "is_canary"):
            self.fields[name].disabled = is_published
        for name, field in self.fields.items():
            if isinstance(field, ShopTimeField):
                field.known = self.initial.get(name)

    def advanced_fields(self) -> list[forms.BoundField]:
        """Return the fields that are folded away at first."""
        return [self[name] for name in AdvancedSection.base_fields]

    def has_advanced_errors(self) -> bool:
        """Say whether one of them is refused, so that it must be seen."""
        return any(field.errors for field in self.advanced_fields())


class VariantForm(forms.Form):
    """One variant; an empty key means that the row is not used."""

    key = forms.CharField(
        max_length=100,
        required=False,
        help_text="Short name in reports, files and links, such as save-10. Blank: this variant is left out.",
    )
    name = forms.CharField(max_length=150, required=False, help_text="As pages and messages call it. Blank: the key.")
    bundle_slug = forms.CharField(
        label="Bundle",
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"list": "bundle-slugs"}),
        help_text="The offer shoppers of this variant see. Blank, for the control: no offer.",
    )
    weight = forms.IntegerField(
        min_value=0,
        max_value=10_000,
        required=False,
        help_text="Its part of the visitors beside the other weights: 50 and 50 halve them.",
    )
    override_payload = forms.JSONField(
        label="Override payload",
        required=False,
        initial=dict,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text='What the page shows instead, such as {"headline": "Save 10 %", "badge": "New"}. '
        "{} shows the bundle as it is.",
    )

    def clean_override_payload(self) -> dict[str, Any]:
        """Insist on a JSON object; blank means none."""
        payload = self.cleaned_data["override_payload"]
        if payload is None:
            return {}
        if not isinstance(payload, dict):
            raise forms.ValidationError('Write a JSON object such as {"headline": "Save 10 %"}.', code="not_an_object")
        return payload


class CloneForm(forms.Form):
    """The clone's own slug and name."""

    slug = forms.CharField(max_length=150, help_text="Lower-case letters, digits, - and _; stands in addresses.")
    name = forms.CharField(max_length=200)


VariantFormSet = formset_factory(VariantForm, extra=1, max_num=MOST_VARIANTS, validate_max=True)

_FORM_FIELDS = {
    **{f"guardrail_config.{name}": field for field, name in guardrail_fields.RATES.items()},
    "guardrail_config.alpha": "alpha",
    "guardrail_config.mode": "mode",
    "guardrail_config.pause_rule": "pause_rule",
    "guardrail_config.pause_rule_reason": "pause_rule_reason",
    "guardrail_config.consecutive": "consecutive",
    "guardrail_config.drop_metric": "drop_metric",
    "coverage": "coverage_percent",
    "owner_username": "owner",
}
_ROW = re.compile(r"(variants|ramp_plan)\[(\d+)\](?:\.(\w+))?(.*)")
_ROW_KEYS = {"variants": "key", "ramp_plan": "coverage_percent"}
"""The field by which a row counts as used."""

Rows = Mapping[str, "BaseFormSet[Any]"]
"""Formsets by the name of the domain's field."""


def used_rows(rows: "BaseFormSet[Any]", name: str) -> list[Any]:
    """Return the forms of the rows that are filled in, in order; `name` is the domain's field."""
    return [row for row in rows.forms if str(row[_ROW_KEYS[name]].value() or "").strip()]


def place_errors(errors: Iterable[FieldError], form: forms.Form, rows: Rows) -> None:
    """Put each domain error beside its form field; one without a field of its own stands above the form.

    A field that its form has refused already says why itself.
    """
    places = [_place_of(error, form, rows) for error in errors]
    unsaid = [(place, name, message) for place, name, message in places if name is None or name not in place.errors]
    for place, name, message in unsaid:
        place.add_error(name, message)


def _place_of(error: FieldError, form: forms.Form, rows: Rows) -> tuple[forms.Form, str | None, str]:
    if found := _ROW.fullmatch(error.field):
        used = used_rows(rows[found[1]], found[1]) if found[1] in rows else []
        index, name = int(found[2]), _FORM_FIELDS.get(found[3] or "", found[3])
        if index < len(used) and name in used[index].fields:
            within = found[4].lstrip(".")  # the member of a payload that is meant
            return used[index], name, f"{within}: {error.message}" if within else error.message
    name = _FORM_FIELDS.get(error.field, error.field)
    return form, name if name in form.fields else None, error.message
