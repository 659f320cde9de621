"""Between the draft page's forms and the domain's specification: per cent and fractions, rows and variants."""

from collections.abc import Mapping
from typing import Any

from catalog_experiments.admin.draft_forms import used_rows
from catalog_experiments.admin.guardrail_fields import RATES, percent_of, rates_in
from catalog_experiments.assignment import BUCKETS
from catalog_experiments.drafting.specification import ExperimentChanges, ExperimentSpec, VariantSpec

_SETTINGS: Mapping[str, Any] = {
    "alpha": 0.05,
    "mode": "enforce",
    "pause_rule": "evidence",
    "pause_rule_reason": "",
    "consecutive": 3,
    "drop_metric": "conversion",
}
"""Guardrail settings that the page shows as they are, with what leaving them out means."""
_EMPTY = ExperimentSpec(slug="", name="")
_FIRST_ROWS: list[dict[str, Any]] = [
    {"key": "control", "name": "Control", "weight": 50, "override_payload": {}},
    {"key": "test", "name": "Test", "weight": 50, "override_payload": {}},
]


def variant_initials(spec: ExperimentSpec | None) -> list[dict[str, Any]]:
    """Return the first values of the variant rows: those of `spec`, control first, or an even pair."""
    if spec is None:
        return _FIRST_ROWS
    return [
        {
            "key": variant.key,
            "name": variant.name,
            "weight": variant.weight,
            "bundle_slug": variant.bundle_slug or "",
            "override_payload": dict(variant.override_payload),
        }
        for variant in sorted(spec.variants, key=lambda variant: not variant.is_control)
    ]


def initial_from(spec: ExperimentSpec, lock_version: int) -> dict[str, Any]:
    """Return the first values of the experiment's form, rates and coverage in per cent."""
    rates = {field: percent_of(spec.guardrail_config.get(name)) for field, name in RATES.items()}
    return {
        "lock_version": lock_version,
        "slug": spec.slug,
        "name": spec.name,
        "description": spec.description,
        "hypothesis": spec.hypothesis,
        "sample_size_guardrail": spec.sample_size_guardrail,
        "coverage_percent": spec.coverage / 100,
        "planned_sample_size": spec.planned_sample_size,
        "stop_at_planned_sample": spec.stop_at_planned_sample,
        "scheduled_start_at": spec.scheduled_start_at,
        "scheduled_end_at": spec.scheduled_end_at,
        "owner": spec.owner_username or "",
        "primary_metric": spec.primary_metric,
        "unit_kind": spec.unit_kind,
        "is_canary": spec.is_canary,
        "attribution_window_days": spec.attribution_window_days,
        "targeting": dict(spec.targeting),
        "exclusion_group": spec.exclusion_group or "",
        "exclusion_start": spec.exclusion_start,
        "exclusion_end": spec.exclusion_end,
        "other_guardrails": {
            name: value for name, value in spec.guardrail_config.items() if name not in RATES.values()
        },
        **{name: spec.guardrail_config.get(name, usual) for name, usual in _SETTINGS.items()},
        **rates,
    }


def ramp_initials(spec: ExperimentSpec | None) -> list[dict[str, Any]]:
    """Return the first values of the ramp's rows, coverage in per cent; none without a ramp."""
    return [{**step, "coverage_percent": step["coverage"] / 100} for step in (spec.ramp_plan if spec else [])]


def spec_from(form: Any, variants: Any, ramp_plan: Any) -> ExperimentSpec:
    """Return the specification that a new-draft page asks for; what its form refuses stands in it as typed."""
    return ExperimentSpec(slug=_read(form)["slug"], **_values(form, variants, ramp_plan, {}))


def changes_from(form: Any, variants: Any, ramp_plan: Any) -> ExperimentChanges:
    """Return the edit an edit page asks for; guardrail settings the page does not show are kept."""
    return ExperimentChanges(**_values(form, variants, ramp_plan, form.initial.get("other_guardrails", {})))


def clone_names(form: Any) -> dict[str, Any]:
    """Return slug and name that a clone page asks for, as the domain calls them."""
    read = _read(form)
    return {"new_slug": read["slug"], "name": read["name"]}


def _read(form: Any) -> dict[str, Any]:
    # The domain refuses what cannot be read at the same place, and says beside it what is wrong with the rest.
    return {name: form[name].value() for name in form.fields} | dict(form.cleaned_data)


def _basis_points(percent: float | str | None) -> int | str | None:
    return round(100 * percent) if isinstance(percent, float) else percent


def _values(form: Any, variants: Any, ramp_plan: Any, kept: Mapping[str, Any]) -> dict[str, Any]:
    cleaned = _read(form)
    return {
        "name": cleaned["name"],
        "description": cleaned["description"],
        "hypothesis": cleaned["hypothesis"],
        "sample_size_guardrail": cleaned["sample_size_guardrail"],
        "coverage": _basis_points(cleaned["coverage_percent"]),
        "planned_sample_size": cleaned["planned_sample_size"],
        **_exclusion(cleaned),
        "stop_at_planned_sample": cleaned["stop_at_planned_sample"],
        "scheduled_start_at": cleaned["scheduled_start_at"],
        "scheduled_end_at": cleaned["scheduled_end_at"],
        "ramp_plan": _ramp(ramp_plan),
        "owner_username": cleaned["owner"] or None,
        "primary_metric": cleaned["primary_metric"],
        "unit_kind": cleaned["unit_kind"] or form.initial.get("unit_kind") or _EMPTY.unit_kind,
        "is_canary": cleaned["is_canary"],
        "attribution_window_days": cleaned["attribution_window_days"] or _EMPTY.attribution_window_days,
        "targeting": cleaned["targeting"],
        "guardrail_config": {**_unshown(kept), **_settings(cleaned, kept), **rates_in(cleaned)},
        "variants": tuple(_variants(variants)),
    }


def _unshown(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kept.items() if name not in _SETTINGS}


def _settings(cleaned: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    # A value that means the same as leaving it out is not written, unless it stands there already.
    asked = {name: cleaned[name] for name in _SETTINGS}
    # Only a program leaves a choice out of what it posts; then what is stored stays.
    choices = ("mode", "pause_rule", "drop_metric")
    asked |= {name: kept.get(name, _SETTINGS[name]) for name in choices if not asked[name]}
    given = {name: value for name, value in asked.items() if value is not None}
    return {name: value for name, value in given.items() if name in kept or value != _SETTINGS[name]}


def _ramp(ramp_plan: Any) -> list[dict[str, Any]]:
    rows = [_read(row) for row in used_rows(ramp_plan, "ramp_plan")]
    names = ("minimum_hours", "minimum_sample", "on_guardrail", "on_sample_ratio", "on_hold")
    return [
        {
            "coverage": _basis_points(row["coverage_percent"]),
            **{name: row[name] for name in names if row[name] not in (None, "")},
        }
        for row in rows
    ]


def _exclusion(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    start, end = cleaned["exclusion_start"], cleaned["exclusion_end"]
    return {
        "exclusion_group": cleaned["exclusion_group"] or None,
        "exclusion_start": 0 if start is None else start,
        "exclusion_end": BUCKETS if end is None else end,
    }


def _variants(variants: Any) -> list[VariantSpec]:
    rows = [_read(row) for row in used_rows(variants, "variants")]
    return [
        VariantSpec(
            key=row["key"],
            name=row["name"] or row["key"].title(),
            weight=row["weight"] or 0,
            is_control=index == 0,
            bundle_slug=row["bundle_slug"] or None,
            override_payload=row["override_payload"],
        )
        for index, row in enumerate(rows)
    ]
