"""Write experiments down: new drafts, edits of drafts, and edits of published ones that wait for the next publish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from catalog_experiments.audit import difference, record_event
from catalog_experiments.drafting.specification import (
    GOES_LIVE_AT_PUBLISH,
    ExperimentChanges,
    ExperimentSpec,
    VariantSpec,
    as_json,
    spec_fields,
    stored_spec,
    wanted_spec,
    with_values,
)
from catalog_experiments.drafting.validation import InvalidExperiment, experiment_errors, moment_errors, slug_errors
from catalog_experiments.field_errors import FieldError
from catalog_experiments.locking import locked_experiment, save_change
from catalog_experiments.models import Experiment, ExperimentStatus, Variant
from catalog_experiments.transitions import IllegalMove, legal_moves

__all__ = [
    "DuplicateSlug",
    "InvalidExperiment",
    "clone",
    "clone_of",
    "columns_of",
    "create_draft",
    "draft_errors",
    "edit_errors",
    "store",
    "update",
]

_MOMENTS = ("scheduled_start_at", "scheduled_end_at")


class DuplicateSlug(ValueError):
    """Another experiment has this slug already."""


def create_draft(spec: ExperimentSpec, *, actor: str, now: datetime, reason: str = "") -> Experiment:
    """Store a new draft with its variants and an event.

    Raises:
        InvalidExperiment: fields are refused, and with them a taken slug; nothing was stored.
        DuplicateSlug: nothing is wrong but that the slug is taken.
    """
    spec = with_values(spec, {"ramp_plan": spec.ramp_plan})
    if errors := _unstored_errors(spec, now):
        raise InvalidExperiment([*errors, *_taken_errors(spec)])
    with transaction.atomic():
        experiment = _insert(spec)
        store(experiment, spec, spec_fields())
        save_change(experiment, *columns_of(spec_fields()))
        filled = as_json(spec, _filled(spec))
        record_event(experiment, actor=actor, action="create", reason=reason, before={}, after=filled, now=now)
    return experiment


def draft_errors(spec: ExperimentSpec, *, now: datetime) -> list[FieldError]:
    """Return everything for which `create_draft` would refuse a draft, a taken slug included; [] for a sound one."""
    return [*_unstored_errors(spec, now), *_taken_errors(spec)]


def update(
    experiment_id: UUID, changes: ExperimentChanges, *, actor: str, now: datetime, expected_version: int | None = None
) -> Experiment:
    """Edit an experiment: a draft at once; of a published one texts at once, the rest pending until the next publish.

    An edit that changes nothing writes nothing. `changes.status` is not read here.

    Raises:
        ExperimentNotFound: there is none.
        StaleVersion: it changed since the caller read it.
        IllegalMove: it is completed, and the edit would change something.
        InvalidExperiment: fields are refused, or cannot change once published.
    """
    with transaction.atomic():
        experiment = locked_experiment(experiment_id, expected_version)
        before = wanted_spec(experiment)
        after = with_values(before, changes.fields_set())
        changed = _changed_fields(before, after)
        if changed and experiment.status == ExperimentStatus.COMPLETED:
            raise IllegalMove(experiment.status, "be edited", legal_moves(experiment.status))
        if changed:
            if errors := edit_errors(experiment, changes, now=now):
                raise InvalidExperiment(errors)
            _write_edit(experiment, after, changed)
            old, new = difference(as_json(before, changed), as_json(after, changed))
            why = changes.reason
            record_event(experiment, actor=actor, action="update", reason=why, before=old, after=new, now=now)
    return experiment


def edit_errors(experiment: Experiment, changes: ExperimentChanges, *, now: datetime) -> list[FieldError]:
    """Return everything for which `update` would refuse the fields of an edit; [] for a sound one."""
    before = wanted_spec(experiment)
    after = with_values(before, changes.fields_set())
    published = [] if experiment.status == ExperimentStatus.DRAFT else _published_errors(experiment, after)
    return [*published, *experiment_errors(after), *_past_errors(after, _changed_fields(before, after), now)]


def clone(experiment_id: UUID, *, slug: str, name: str, actor: str, now: datetime) -> Experiment:
    """Make a new draft like an experiment of any status, its pending edits included, its schedule left out.

    Raises:
        ExperimentNotFound: there is none.
        DuplicateSlug: the slug is taken.
        InvalidExperiment: slug or name are refused.
    """
    with transaction.atomic():
        source = locked_experiment(experiment_id)
        spec = clone_of(source, slug=slug, name=name)
        return create_draft(spec, actor=actor, now=now, reason=f"Cloned from {source.slug}.")


def clone_of(source: Experiment, *, slug: str, name: str) -> ExperimentSpec:
    """Return what `clone` stores: all that is wanted of the source, but for its schedule."""
    return replace(wanted_spec(source), slug=slug, name=name, scheduled_start_at=None, scheduled_end_at=None)


def store(experiment: Experiment, spec: ExperimentSpec, names: Iterable[str]) -> None:
    """Set the named fields on a locked experiment and write its variants; the caller saves the experiment itself."""
    for name in names:
        if name == "variants":
            _store_variants(experiment, spec.variants)
        elif name == "owner_username":
            experiment.owner = _user(spec.owner_username)
        elif name == "exclusion_group":
            experiment.exclusion_group_id = spec.exclusion_group
        else:
            setattr(experiment, name, getattr(spec, name))


def _insert(spec: ExperimentSpec) -> Experiment:
    try:
        with transaction.atomic():
            return Experiment.objects.create(slug=spec.slug, name=spec.name)
    except IntegrityError as refused:
        raise DuplicateSlug(_taken(spec.slug)) from refused


def _user(username: str | None) -> Any:
    if username is None:
        return None
    return get_user_model().objects.get_by_natural_key(username)


def _filled(spec: ExperimentSpec) -> list[str]:
    empty = ExperimentSpec(slug="", name="")
    return [name for name in spec_fields() if getattr(spec, name) != getattr(empty, name)]


def columns_of(names: Iterable[str]) -> list[str]:
    """Return the columns that hold the named fields of a specification; variants have rows of their own."""
    columns = {"owner_username": "owner"}
    return [columns.get(name, name) for name in names if name != "variants"]


def _store_variants(experiment: Experiment, wanted: tuple[VariantSpec, ...]) -> None:
    stored = {variant.key: variant for variant in experiment.variants.all()}
    experiment.variants.exclude(key__in=[spec.key for spec in wanted]).delete()
    # The control last: the database allows one at a time, and the mark may have moved.
    for position, spec in sorted(enumerate(wanted), key=lambda entry: entry[1].is_control):
        variant = stored.get(spec.key, Variant(experiment=experiment, key=spec.key))
        variant.name, variant.weight, variant.is_control = spec.name, spec.weight, spec.is_control
        variant.bundle_id, variant.override_payload = spec.bundle_slug, dict(spec.override_payload)
        variant.position = position
        variant.save()


def _unstored_errors(spec: ExperimentSpec, now: datetime) -> list[FieldError]:
    return [*experiment_errors(spec), *_past_errors(spec, _MOMENTS, now)]


def _taken_errors(spec: ExperimentSpec) -> Iterator[FieldError]:
    # The database has the last word at the insert; this lets a taken slug stand beside the other faults.
    if not list(slug_errors("slug", spec.slug)) and Experiment.objects.filter(slug=spec.slug).exists():
        yield FieldError("slug", "taken", _taken(spec.slug))


def _taken(slug: str) -> str:
    return f"The slug {slug!r} is taken; choose another."


def _changed_fields(before: ExperimentSpec, after: ExperimentSpec) -> list[str]:
    return [name for name in spec_fields() if getattr(before, name) != getattr(after, name)]


def _past_errors(spec: ExperimentSpec, changed: Iterable[str], now: datetime) -> Iterator[FieldError]:
    # An entry already past would act within a minute; who wants that has a button for it.
    for name in _MOMENTS:
        moment = getattr(spec, name)
        if name in changed and not list(moment_errors(name, moment)) and moment is not None and moment <= now:
            yield FieldError(name, "past", "This moment is past. Choose a later one, or none.")


def _published_errors(experiment: Experiment, after: ExperimentSpec) -> Iterator[FieldError]:
    live = stored_spec(experiment)
    if after.unit_kind != live.unit_kind:
        message = "What is randomized is fixed at publish; clone the experiment to change it."
        yield FieldError("unit_kind", "published", message)
    if after.is_canary != live.is_canary:
        message = "Whether it is an A/A canary is fixed at publish; clone the experiment to change it."
        yield FieldError("is_canary", "published", message)
    kept = {variant.key for variant in after.variants}
    if after.scheduled_start_at != live.scheduled_start_at:
        yield FieldError("scheduled_start_at", "published", "The experiment has started; its start cannot move.")
    if gone := ", ".join(variant.key for variant in live.variants if variant.key not in kept):
        message = f"Published variants keep their history and stay ({gone}); clone the experiment without them."
        yield FieldError("variants", "published", message)


def _write_edit(experiment: Experiment, after: ExperimentSpec, changed: list[str]) -> None:
    at_once = [n for n in changed if experiment.status == ExperimentStatus.DRAFT or n not in GOES_LIVE_AT_PUBLISH]
    store(experiment, after, at_once)
    if {*_MOMENTS} & {*changed}:
        experiment.schedule_refusal = ""
    if experiment.status != ExperimentStatus.DRAFT:
        live = stored_spec(experiment)
        waiting = [name for name in GOES_LIVE_AT_PUBLISH if getattr(after, name) != getattr(live, name)]
        experiment.pending_changes = as_json(after, waiting)
    save_change(experiment, *columns_of(at_once), "pending_changes", "schedule_refusal")
