"""Drafts and edits: what is refused, with which path, and what waits for the next publish."""

from __future__ import annotations

from typing import Any

import pytest

from catalog_experiments import drafting, lifecycle
from catalog_experiments.drafting import DuplicateSlug, InvalidExperiment
from catalog_experiments.drafting.specification import (
    ExperimentChanges,
    ExperimentSpec,
    VariantSpec,
    stored_spec,
    wanted_spec,
)
from catalog_experiments.models import Experiment, ExperimentEvent, VariantMetric
from tests.builders import NOON, make_bundle, make_experiment
from tests.catalog_experiments.acting import ACTOR, LATER, edit, last_event, pause, publish, variants_of

pytestmark = pytest.mark.django_db

CONTROL = VariantSpec(key="control", name="Control", weight=50, is_control=True)
TEST = VariantSpec(key="test", name="Test", weight=50)


def spec(**fields: Any) -> ExperimentSpec:
    return ExperimentSpec(**({"slug": "cup-saucer", "name": "Cup and saucer", "variants": (CONTROL, TEST)} | fields))


def create(**fields: Any) -> Experiment:
    return drafting.create_draft(spec(**fields), actor=ACTOR, now=NOON)


def test_create__with_all_fields__stores_what_was_asked_for(django_user_model: Any) -> None:
    django_user_model.objects.create_user("mara")
    make_bundle(bundle_slug="cup-save")
    wanted = spec(
        description="Does it sell?",
        hypothesis="It does.",
        owner_username="mara",
        guardrail_config={"min_acceptance_rate": 0.1},
        sample_size_guardrail=250,
        variants=(
            CONTROL,
            VariantSpec(key="test", name="T", weight=50, bundle_slug="cup-save", override_payload={"a": 1}),
        ),
        coverage=5000,
        unit_kind="customer",
        primary_metric="revenue",
        attribution_window_days=14,
        planned_sample_size=4000,
        targeting={"country": "DE"},
        forced_units={"qa-1": "test"},
    )

    draft = drafting.create_draft(wanted, actor=ACTOR, now=NOON)

    stored = Experiment.objects.get(pk=draft.pk)
    assert stored_spec(stored) == wanted
    assert (stored.status, stored.lock_version) == ("draft", 1)
    assert (last_event(stored).action, last_event(stored).after["coverage"]) == ("create", 5000)


def test_create__with_a_taken_slug__is_refused_and_stores_nothing() -> None:
    create()

    with pytest.raises(DuplicateSlug, match="'cup-saucer' is taken"):
        create(name="Another")

    assert Experiment.objects.get().name == "Cup and saucer"


BAD_KEY = VariantSpec(key="a/b", name="Test")
REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"slug": "a/b"}, "slug", "slug_not_path_safe"),
    ({"slug": "Cup"}, "slug", "slug_not_path_safe"),
    ({"slug": ""}, "slug", "required"),
    ({"slug": "x" * 151}, "slug", "length"),
    ({"name": "  "}, "name", "required"),
    ({"name": "x" * 201}, "name", "length"),
    ({"name": "a\x00b"}, "name", "characters"),
    ({"name": "\ud800"}, "name", "characters"),
    ({"description": "x" * 501}, "description", "length"),
    ({"sample_size_guardrail": -1}, "sample_size_guardrail", "range"),
    ({"sample_size_guardrail": 1_000_001}, "sample_size_guardrail", "range"),
    ({"sample_size_guardrail": True}, "sample_size_guardrail", "type"),
    ({"guardrail_config": []}, "guardrail_config", "type"),
    ({"guardrail_config": {"min_acceptance_rate": "0.5"}}, "guardrail_config.min_acceptance_rate", "type"),
    ({"guardrail_config": {"min_acceptance_rate": 35}}, "guardrail_config.min_acceptance_rate", "percent"),
    ({"guardrail_config": {"speed": 1}}, "guardrail_config.speed", "unknown"),
    ({"coverage": 10_001}, "coverage", "range"),
    ({"coverage": 4999}, "coverage", "allocation"),
    ({"attribution_window_days": 0}, "attribution_window_days", "range"),
    ({"planned_sample_size": 0}, "planned_sample_size", "range"),
    ({"primary_metric": "likes"}, "primary_metric", "choice"),
    ({"unit_kind": "household"}, "unit_kind", "choice"),
    ({"targeting": {"a": {"$where": 1}}}, "targeting", "targeting"),
    ({"segments": ["shoe_size"]}, "segments[0]", "unknown_segment"),
    ({"segments": ["device", "device"]}, "segments[1]", "duplicate"),
    ({"forced_units": {"qa": "nobody"}}, "forced_units.qa", "unknown_variant"),
    ({"owner_username": "nobody"}, "owner_username", "unknown"),
    ({"variants": (CONTROL, BAD_KEY)}, "variants[1].key", "slug_not_path_safe"),
    ({"variants": (CONTROL, CONTROL)}, "variants[1].key", "duplicate"),
    ({"variants": (CONTROL, CONTROL)}, "variants[1].is_control", "second_control"),
    ({"variants": (CONTROL, VariantSpec(key="t", name=""))}, "variants[1].name", "required"),
    ({"variants": (CONTROL, VariantSpec(key="t", name="T", weight=-1))}, "variants[1].weight", "range"),
    ({"variants": (CONTROL, VariantSpec(key="t", name="T", weight=10_001))}, "variants[1].weight", "range"),
    (
        {"variants": (CONTROL, VariantSpec(key="t", name="T", bundle_slug="nope"))},
        "variants[1].bundle_slug",
        "unknown_bundle",
    ),
    (
        {"variants": (CONTROL, VariantSpec(key="t", name="T", override_payload=[1]))},  # type: ignore[arg-type]  # wrong on purpose
        "variants[1].override_payload",
        "type",
    ),
    (
        {"variants": (CONTROL, VariantSpec(key="t", name="T", override_payload={"x": float("nan")}))},
        "variants[1].override_payload.x",
        "type",
    ),
    ({"variants": tuple(VariantSpec(key=f"v{n}", name="V") for n in range(21))}, "variants", "too_many"),
]


@pytest.mark.parametrize(("fields", "path", "code"), REFUSALS)
def test_create__with_a_fault__names_its_path_and_stores_nothing(fields: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(InvalidExperiment) as refused:
        create(**fields)

    assert (path, code) in {(error.field, error.code) for error in refused.value.errors}
    assert all(error.message.strip() for error in refused.value.errors)
    assert not Experiment.objects.exists()
    assert not ExperimentEvent.objects.exists()


def test_create__with_several_faults__lists_them_all() -> None:
    create()
    crooked = VariantSpec(key="a/b", name="Test", weight=50, bundle_slug="nope")

    with pytest.raises(InvalidExperiment) as refused:
        create(
            name="",
            variants=(CONTROL, crooked),
            coverage=4999,
            ramp_plan=[{"coverage": 5000}, {"coverage": 1000}],
            scheduled_start_at=NOON,
        )

    assert [error.field for error in refused.value.errors] == [
        "name",
        "coverage",
        "ramp_plan[1].coverage",
        "variants[1].key",
        "variants[1].bundle_slug",
        "scheduled_start_at",
        "slug",
    ]
    assert Experiment.objects.count() == 1


def test_draft_errors__only_the_slug_is_taken__says_so() -> None:
    create()

    errors = drafting.draft_errors(spec(), now=NOON)

    assert [(error.field, error.code) for error in errors] == [("slug", "taken")]


def test_edit_errors__of_a_published_experiment__lists_what_is_fixed_beside_the_other_faults() -> None:
    experiment = publish(make_experiment())
    changes = ExperimentChanges(unit_kind="customer", name="", scheduled_end_at=NOON)

    errors = drafting.edit_errors(experiment, changes, now=LATER)

    assert [error.field for error in errors] == ["unit_kind", "name", "scheduled_end_at"]


def test_edit__of_a_draft__is_stored_at_once_with_before_and_after() -> None:
    draft = create()

    edit(draft, name="Renamed", variants=(CONTROL, VariantSpec(key="other", name="Other", weight=100)))

    stored = Experiment.objects.get()
    assert (stored.name, stored.lock_version) == ("Renamed", 2)
    assert list(stored.variants.values_list("key", "weight")) == [("control", 50), ("other", 100)]
    event = last_event(stored)
    assert (event.action, event.before["name"], event.after["name"]) == ("update", "Cup and saucer", "Renamed")


def test_edit__that_moves_the_control__is_stored() -> None:
    draft = create()
    swapped = (
        VariantSpec(key="control", name="Control", weight=50),
        VariantSpec(key="test", name="Test", weight=50, is_control=True),
    )

    edit(draft, variants=swapped)

    assert [variant.key for variant in draft.variants.all()] == ["test", "control"]


def test_edit__that_changes_nothing__writes_nothing() -> None:
    draft = create()

    edit(draft, name="Cup and saucer", sample_size_guardrail=0)

    assert Experiment.objects.get().lock_version == 1
    assert ExperimentEvent.objects.count() == 1


def test_edit__of_a_running_experiment__waits_but_for_its_texts() -> None:
    running = publish(make_experiment())

    edit(running, name="Renamed", sample_size_guardrail=400)

    stored = Experiment.objects.get()
    assert (stored.name, stored.sample_size_guardrail) == ("Renamed", 250)
    assert stored.pending_changes == {"sample_size_guardrail": 400}
    assert wanted_spec(stored).sample_size_guardrail == 400


def test_edit__back_to_what_is_live__leaves_nothing_pending() -> None:
    running = publish(make_experiment())
    edit(running, sample_size_guardrail=400)

    edit(running, sample_size_guardrail=250)

    assert Experiment.objects.get().pending_changes == {}


def test_edit__of_a_paused_experiment__waits_too() -> None:
    running = publish(make_experiment())
    pause(running)

    edit(running, variants=variants_of(running, weight=10))

    assert running.variants.get(key="test").weight == 50
    assert wanted_spec(Experiment.objects.get()).variants[1].weight == 10


@pytest.mark.parametrize(
    ("changes", "path"), [({"variants": (CONTROL,)}, "variants"), ({"unit_kind": "customer"}, "unit_kind")]
)
def test_edit__of_what_is_fixed_at_publish__is_refused(changes: dict[str, Any], path: str) -> None:
    running = publish(make_experiment())

    with pytest.raises(InvalidExperiment) as refused:
        edit(running, **changes)

    assert [error.field for error in refused.value.errors] == [path]
    assert VariantMetric.objects.count() == 0
    assert running.variants.count() == 2


def test_edit__of_a_variant_added_and_never_published__can_take_it_away_again() -> None:
    running = publish(make_experiment())
    make_bundle(bundle_slug="third")
    live = stored_spec(running).variants
    edit(running, variants=(*live, VariantSpec(key="third", name="Third", weight=50, bundle_slug="third")))

    edit(running, variants=live)

    assert Experiment.objects.get().pending_changes == {}


def test_edit__of_a_completed_experiment__is_illegal() -> None:
    running = publish(make_experiment())
    lifecycle.complete(running.pk, actor=ACTOR, now=LATER)

    with pytest.raises(lifecycle.IllegalMove, match="cannot be edited; it can be concluded or cloned"):
        edit(running, name="Too late")
