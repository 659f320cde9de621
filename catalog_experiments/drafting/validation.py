"""The rules an experiment's fields must keep, in one place for API, admin, commands and imports.

A draft may be unfinished (preflight says what is missing), but nothing in it may be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from catalog_experiments import targeting
from catalog_experiments.assignment import BUCKETS, AllocationError, allowed_coverage
from catalog_experiments.drafting.payloads import is_storable_text, payload_errors
from catalog_experiments.drafting.specification import ExperimentSpec, VariantSpec
from catalog_experiments.field_errors import (
    FieldError,
    InvalidFields,
    choice_errors,
    flag_errors,
    whole_number_errors,
)
from catalog_experiments.guardrails import refusals
from catalog_experiments.models import Bundle, ExclusionGroup, PrimaryMetric, Segment, UnitKind
from catalog_experiments.models.fields import PATH_SAFE_SLUG
from catalog_experiments.ramp_plans import RampPlanError, parse_plan

MOST_VARIANTS = 20
MOST_FORCED_UNITS = 1000
LARGEST_WEIGHT = 10_000
LARGEST_SAMPLE_GUARDRAIL = 1_000_000
LONGEST_WINDOW_DAYS = 90
_LARGEST_INTEGER = 2_147_483_647


class InvalidExperiment(InvalidFields):
    """Fields of an experiment are refused; nothing was stored."""


def experiment_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    """Yield what is wrong with every field, how the fields fit together, and what they name."""
    yield from _own_errors(spec)
    yield from _variants_errors(spec)
    yield from _reference_errors(spec)


def text_errors(field: str, value: object, longest: int, *, is_required: bool = False) -> Iterator[FieldError]:
    """Yield what is wrong with a text of at most `longest` characters."""
    if not isinstance(value, str):
        yield FieldError(field, "type", "Use a text.")
    elif is_required and not value.strip():
        yield FieldError(field, "required", "This field may not be empty.")
    elif len(value) > longest:
        yield FieldError(field, "length", f"Use at most {longest} characters; these are {len(value)}.")
    elif not is_storable_text(value):
        yield FieldError(field, "characters", "The text holds a NUL or half a surrogate pair; remove it.")


def slug_errors(field: str, value: object, longest: int = 150) -> Iterator[FieldError]:
    """Yield what is wrong with a slug that must stand in an address."""
    faults = list(text_errors(field, value, longest, is_required=True))
    if not faults and not _is_path_safe(str(value)):
        faults.append(FieldError(field, "slug_not_path_safe", str(PATH_SAFE_SLUG.message)))
    yield from faults


def guardrail_errors(config: object, field: str = "guardrail_config") -> Iterator[FieldError]:
    """Yield what is wrong with guardrail settings, by the path of each field."""
    if not isinstance(config, Mapping):
        yield FieldError(field, "type", "The guardrails must be a JSON object, {} for none.")
        return
    yield from (FieldError(f"{field}.{error.field}", error.code, error.message) for error in refusals(config))


def targeting_errors(condition: object, field: str = "targeting") -> Iterator[FieldError]:
    """Yield what is wrong with a targeting condition."""
    try:
        targeting.validate(condition)
    except targeting.TargetingError as refused:
        yield FieldError(field, "targeting", str(refused))


def coverage_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    """Yield what is wrong with the coverage, also against the weights once these are settled: it must split exactly."""
    if faults := list(whole_number_errors("coverage", spec.coverage, 0, BUCKETS)):
        yield from faults
    elif spec.variants and _are_weights_settled(spec.variants):
        yield from _split_errors(spec)


def _split_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    try:
        allowed_coverage([variant.weight for variant in spec.variants], spec.coverage)
    except AllocationError as refused:
        yield FieldError("coverage", "allocation", str(refused))


def ramp_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    """Yield what is wrong with a ramp plan, also against the weights once these are settled."""
    is_settled = bool(spec.variants) and _are_weights_settled(spec.variants)
    try:
        parse_plan(spec.ramp_plan, [variant.weight for variant in spec.variants] if is_settled else None)
    except RampPlanError as refused:
        yield from (FieldError(f"ramp_plan{error.field}", error.code, error.message) for error in refused.errors)


def moment_errors(field: str, value: object) -> Iterator[FieldError]:
    """Yield what is wrong with a moment that may be missing."""
    if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
        yield FieldError(field, "type", "Use a moment with its time zone, or none.")


def _is_path_safe(text: str) -> bool:
    try:
        PATH_SAFE_SLUG(text)
    except ValidationError:
        return False
    return True


def _own_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    yield from slug_errors("slug", spec.slug)
    yield from text_errors("name", spec.name, 200, is_required=True)
    yield from text_errors("description", spec.description, 500)
    yield from text_errors("hypothesis", spec.hypothesis, 5000)
    yield from guardrail_errors(spec.guardrail_config)
    yield from whole_number_errors("sample_size_guardrail", spec.sample_size_guardrail, 0, LARGEST_SAMPLE_GUARDRAIL)
    yield from coverage_errors(spec)
    yield from whole_number_errors("attribution_window_days", spec.attribution_window_days, 1, LONGEST_WINDOW_DAYS)
    if spec.planned_sample_size is not None:
        yield from whole_number_errors("planned_sample_size", spec.planned_sample_size, 1, _LARGEST_INTEGER)
    yield from flag_errors("stop_at_planned_sample", spec.stop_at_planned_sample)
    yield from flag_errors("is_canary", spec.is_canary)
    yield from _schedule_errors(spec)
    yield from choice_errors("primary_metric", spec.primary_metric, ["", *PrimaryMetric.values])
    yield from choice_errors("unit_kind", spec.unit_kind, UnitKind.values)
    yield from targeting_errors(spec.targeting)
    yield from _range_errors(spec.exclusion_start, spec.exclusion_end)
    yield from ramp_errors(spec)


def _schedule_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    start, end = spec.scheduled_start_at, spec.scheduled_end_at
    faults = [*moment_errors("scheduled_start_at", start), *moment_errors("scheduled_end_at", end)]
    if not faults and start is not None and end is not None and start >= end:
        faults.append(FieldError("scheduled_end_at", "order", "The end must come after the start."))
    yield from faults


def _range_errors(start: object, end: object) -> Iterator[FieldError]:
    faults = [
        *whole_number_errors("exclusion_start", start, 0, BUCKETS - 1),
        *whole_number_errors("exclusion_end", end, 1, BUCKETS),
    ]
    if not faults and isinstance(start, int) and isinstance(end, int) and start >= end:
        message = (
            f"The range must end past its start {start}: it holds the buckets from there up to, not with, its end."
        )
        faults.append(FieldError("exclusion_end", "range", message))
    yield from faults


def _variants_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    if len(spec.variants) > MOST_VARIANTS:
        yield FieldError("variants", "too_many", f"Use at most {MOST_VARIANTS} variants.")
        return
    for index, variant in enumerate(spec.variants):
        yield from _variant_errors(index, variant)
    yield from _repeated_keys(spec.variants)
    for index in [index for index, variant in enumerate(spec.variants) if variant.is_control][1:]:
        message = "Another variant is the control already; an experiment has exactly one."
        yield FieldError(f"variants[{index}].is_control", "second_control", message)


def _variant_errors(index: int, variant: VariantSpec) -> Iterator[FieldError]:
    path = f"variants[{index}]"
    yield from slug_errors(f"{path}.key", variant.key, 100)
    yield from text_errors(f"{path}.name", variant.name, 150, is_required=True)
    yield from whole_number_errors(f"{path}.weight", variant.weight, 0, LARGEST_WEIGHT)
    yield from flag_errors(f"{path}.is_control", variant.is_control)
    if variant.bundle_slug is not None:
        yield from text_errors(f"{path}.bundle_slug", variant.bundle_slug, 150, is_required=True)
    yield from payload_errors(f"{path}.override_payload", variant.override_payload)


def _are_weights_settled(variants: tuple[VariantSpec, ...]) -> bool:
    # Half-filled weights of a draft are preflight's to name; here they only say nothing about coverage yet.
    weights = [variant.weight for variant in variants]
    are_sound = not any(list(whole_number_errors("weight", weight, 0, LARGEST_WEIGHT)) for weight in weights)
    return are_sound and (all(weights) or not any(weights))


def _repeated_keys(variants: tuple[VariantSpec, ...]) -> Iterator[FieldError]:
    seen: Counter[str] = Counter()
    for index, variant in enumerate(variants):
        seen[variant.key] += 1
        if seen[variant.key] > 1:
            message = f"The key {variant.key!r} is taken by another variant; keys must differ."
            yield FieldError(f"variants[{index}].key", "duplicate", message)


def _reference_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    yield from _unknown_bundles(spec.variants)
    yield from _forced_errors(spec.forced_units, {variant.key for variant in spec.variants})
    yield from _unknown_group(spec.exclusion_group)
    yield from _segment_errors(spec.segments)
    if spec.owner_username is not None and not _is_user(spec.owner_username):
        yield FieldError("owner_username", "unknown", f"There is no user {spec.owner_username!r}.")


def _unknown_bundles(variants: tuple[VariantSpec, ...]) -> Iterator[FieldError]:
    named = {v.bundle_slug for v in variants if isinstance(v.bundle_slug, str) and is_storable_text(v.bundle_slug)}
    known = set(Bundle.objects.filter(bundle_slug__in=named).values_list("bundle_slug", flat=True)) if named else set()
    for index, variant in enumerate(variants):
        if variant.bundle_slug in named - known:
            message = f"There is no bundle {variant.bundle_slug!r}; create it first or name another."
            yield FieldError(f"variants[{index}].bundle_slug", "unknown_bundle", message)


def _unknown_group(slug: object) -> Iterator[FieldError]:
    if slug is None:
        return
    if faults := list(text_errors("exclusion_group", slug, 150, is_required=True)):
        yield from faults
    elif not ExclusionGroup.objects.filter(slug=slug).exists():
        message = f"There is no exclusion group {slug!r}; create it first, or use none."
        yield FieldError("exclusion_group", "unknown_group", message)


def _segment_errors(segments: object) -> Iterator[FieldError]:
    if not isinstance(segments, list):
        yield FieldError("segments", "type", "Use a list of names.")
        return
    for index, name in enumerate(segments):
        if name not in Segment.values:
            known = ", ".join(Segment.values)
            yield FieldError(f"segments[{index}]", "unknown_segment", f"Results are told apart by {known} only.")
        elif name in segments[:index]:
            yield FieldError(f"segments[{index}]", "duplicate", f"{name!r} is named twice.")


def _forced_errors(forced: object, keys: set[str]) -> Iterator[FieldError]:
    if not isinstance(forced, Mapping):
        yield FieldError("forced_units", "type", "Use a JSON object of unit id to variant key.")
        return
    if len(forced) > MOST_FORCED_UNITS:
        yield FieldError("forced_units", "too_many", f"Force at most {MOST_FORCED_UNITS} units.")
        return
    for unit_id, key in forced.items():
        yield from text_errors("forced_units", unit_id, 200, is_required=True)
        if key not in keys:
            yield FieldError(f"forced_units.{unit_id}", "unknown_variant", f"There is no variant {key!r}.")


def _is_user(username: object) -> bool:
    if not isinstance(username, str) or not is_storable_text(username):
        return False
    return get_user_model().objects.filter(**{get_user_model().USERNAME_FIELD: username}).exists()
