"""What an experiment should be, as plain values: the form in which faces ask for it and edits wait to go live.

A specification is read from the tables, changed, validated, and only then written; nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final

from catalog_experiments.assignment import BUCKETS
from catalog_experiments.models import Experiment, UnitKind, Variant
from catalog_experiments.ramp_plans import spell_out


class Unset(Enum):
    """Marks a field that a change leaves alone, where None is a value of its own."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSpec:
    """One variant as wanted. `weight` is relative, 0 to 10,000; a control may come without bundle."""

    key: str
    name: str
    weight: int = 0
    is_control: bool = False
    bundle_slug: str | None = None
    override_payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSpec:
    """One experiment as wanted.

    `coverage` is in basis points of all units, `attribution_window_days` in days, `planned_sample_size` in complete
    units per variant (None: no planned end), `guardrail_config` in the form of `guardrails.parse_config`. A blank
    `primary_metric` means margin when every cost is known at publish, else revenue. Of a canary (`is_canary`) all
    variants are the same. `exclusion_group` is a slug; of its
    units the experiment takes the buckets `[exclusion_start, exclusion_end)`. Scheduled moments are aware; a
    `ramp_plan` (in the form of `ramp_plans.parse_plan`) sets the coverage from publish on.
    """

    slug: str
    name: str
    description: str = ""
    hypothesis: str = ""
    owner_username: str | None = None
    guardrail_config: Mapping[str, Any] = field(default_factory=dict)
    sample_size_guardrail: int = 0
    variants: tuple[VariantSpec, ...] = ()
    coverage: int = BUCKETS
    unit_kind: str = UnitKind.VISITOR.value
    is_canary: bool = False
    primary_metric: str = ""
    attribution_window_days: int = 7
    planned_sample_size: int | None = None
    stop_at_planned_sample: bool = False
    scheduled_start_at: datetime | None = None
    scheduled_end_at: datetime | None = None
    ramp_plan: list[dict[str, Any]] = field(default_factory=list)
    targeting: Mapping[str, Any] = field(default_factory=dict)
    segments: list[str] = field(default_factory=list)
    forced_units: Mapping[str, str] = field(default_factory=dict)
    exclusion_group: str | None = None
    exclusion_start: int = 0
    exclusion_end: int = BUCKETS


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentChanges:
    """An edit: fields left `UNSET` stay as they are; `status` asks for the verb that leads there, `reason` says why."""

    name: str | Unset = UNSET
    description: str | Unset = UNSET
    hypothesis: str | Unset = UNSET
    owner_username: str | Unset | None = UNSET
    guardrail_config: Mapping[str, Any] | Unset = UNSET
    sample_size_guardrail: int | Unset = UNSET
    variants: tuple[VariantSpec, ...] | Unset = UNSET
    coverage: int | Unset = UNSET
    unit_kind: str | Unset = UNSET
    is_canary: bool | Unset = UNSET
    primary_metric: str | Unset = UNSET
    attribution_window_days: int | Unset = UNSET
    planned_sample_size: int | Unset | None = UNSET
    stop_at_planned_sample: bool | Unset = UNSET
    scheduled_start_at: datetime | Unset | None = UNSET
    scheduled_end_at: datetime | Unset | None = UNSET
    ramp_plan: list[dict[str, Any]] | Unset = UNSET
    targeting: Mapping[str, Any] | Unset = UNSET
    segments: list[str] | Unset = UNSET
    forced_units: Mapping[str, str] | Unset = UNSET
    exclusion_group: str | Unset | None = UNSET
    exclusion_start: int | Unset = UNSET
    exclusion_end: int | Unset = UNSET
    status: str | Unset = UNSET
    reason: str = ""

    def fields_set(self) -> dict[str, Any]:
        """Return the fields of the specification that this edit sets, by name."""
        named = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("status", "reason")}
        return {name: value for name, value in named.items() if value is not UNSET}


GOES_LIVE_AT_PUBLISH = (
    "guardrail_config",
    "sample_size_guardrail",
    "variants",
    "coverage",
    "primary_metric",
    "attribution_window_days",
    "planned_sample_size",
    "ramp_plan",
    "targeting",
    "segments",
    "forced_units",
    "exclusion_group",
    "exclusion_start",
    "exclusion_end",
)
"""What visitors or verdicts depend on: once published, an edit of these waits for the next publish."""


def current_variants(experiment: Experiment) -> list[Variant]:
    """Return the variants as stored, control first, each with its bundle."""
    return list(experiment.variants.select_related("bundle"))


def stored_spec(experiment: Experiment) -> ExperimentSpec:
    """Return the experiment as its tables hold it: what is live, or the draft as it stands."""
    return ExperimentSpec(
        slug=experiment.slug,
        name=experiment.name,
        description=experiment.description,
        hypothesis=experiment.hypothesis,
        owner_username=experiment.owner.get_username() if experiment.owner else None,
        guardrail_config=experiment.guardrail_config,
        sample_size_guardrail=experiment.sample_size_guardrail,
        variants=tuple(_stored_variant(variant) for variant in experiment.variants.all()),
        coverage=experiment.coverage,
        unit_kind=experiment.unit_kind,
        is_canary=experiment.is_canary,
        primary_metric=experiment.primary_metric,
        attribution_window_days=experiment.attribution_window_days,
        planned_sample_size=experiment.planned_sample_size,
        stop_at_planned_sample=experiment.stop_at_planned_sample,
        scheduled_start_at=experiment.scheduled_start_at,
        scheduled_end_at=experiment.scheduled_end_at,
        ramp_plan=experiment.ramp_plan,
        targeting=experiment.targeting,
        segments=experiment.segments,
        forced_units=experiment.forced_units,
        exclusion_group=experiment.exclusion_group_id,
        exclusion_start=experiment.exclusion_start,
        exclusion_end=experiment.exclusion_end,
    )


def wanted_spec(experiment: Experiment) -> ExperimentSpec:
    """Return the experiment as the next publish or resume would make it: stored, with pending edits applied."""
    return with_values(stored_spec(experiment), experiment.pending_changes)


def with_values(spec: ExperimentSpec, values: Mapping[str, Any]) -> ExperimentSpec:
    """Return the specification with fields replaced; variants may come as JSON objects, a ramp's steps abridged."""
    changed = dict(values)
    if "ramp_plan" in changed:
        changed["ramp_plan"] = spell_out(changed["ramp_plan"])
    if "variants" in changed:
        changed["variants"] = tuple(_read_variant(entry) for entry in changed["variants"])
    return replace(spec, **changed)


def as_json(spec: ExperimentSpec, names: Iterable[str]) -> dict[str, Any]:
    """Return the named fields as JSON values, variants as a list of objects, moments in ISO 8601."""
    plain = asdict(spec)
    return {name: _as_json(plain[name]) for name in names}


def spec_fields() -> tuple[str, ...]:
    """Return the names of all fields of a specification, in order."""
    return tuple(each.name for each in fields(ExperimentSpec))


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _stored_variant(variant: Variant) -> VariantSpec:
    return VariantSpec(
        key=variant.key,
        name=variant.name,
        weight=variant.weight,
        is_control=variant.is_control,
        bundle_slug=variant.bundle_id,
        override_payload=variant.override_payload,
    )


def _read_variant(entry: VariantSpec | Mapping[str, Any]) -> VariantSpec:
    return entry if isinstance(entry, VariantSpec) else VariantSpec(**entry)
