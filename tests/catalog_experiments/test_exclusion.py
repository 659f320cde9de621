"""Exclusion groups and holdouts: made, sized, checked before a publish, and told to every storefront process."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import ProtectedError

from catalog_experiments import publication
from catalog_experiments.drafting import InvalidExperiment
from catalog_experiments.drafting.specification import ExperimentSpec
from catalog_experiments.lifecycle import PreflightFailed
from catalog_experiments.models import (
    ExclusionGroup,
    Experiment,
    ExperimentEvent,
    Holdout,
    Phase,
    PublishedDocument,
)
from catalog_experiments.publication import InvalidExclusion, create_group, set_holdout
from catalog_experiments.service import CatalogExperimentService
from tests.builders import NOON, make_bundle, make_experiment
from tests.catalog_experiments.acting import ACTOR, LATER, at_once, edit, entry_of, last_event, phase_of, publish

pytestmark = pytest.mark.django_db(transaction=True)


def make_group(slug: str = "teas") -> ExclusionGroup:
    return create_group(slug, slug.title(), actor=ACTOR, now=NOON)


def in_group(slug: str, start: int, end: int, **overrides: Any) -> Experiment:
    """Make a draft on a page of its own that takes a range of the group."""
    variants = [
        {
            "key": key,
            "name": key.title(),
            "weight": 50,
            "is_control": key == "control",
            "bundle": make_bundle(bundle_slug=f"{slug}-{key}", primary_product_slug=f"page-of-{slug}"),
        }
        for key in ("control", "test")
    ]
    group = overrides.pop("exclusion_group_id", "teas")
    return make_experiment(
        slug=slug,
        name=slug,
        variants=variants,
        exclusion_group_id=group,
        exclusion_start=start,
        exclusion_end=end,
        **overrides,
    )


def test_document__of_a_grouped_experiment__carries_the_groups_filter() -> None:
    group = make_group()

    publish(in_group("first", 0, 4_000))

    assert entry_of("first")["filters"] == [{"seed": group.salt, "ranges": [[0, 4_000]]}]
    assert entry_of("first")["holdouts"] == []


def test_document__with_holdouts__filters_what_they_leave_and_names_who_is_held() -> None:
    group = make_group()
    everywhere = set_holdout(500, actor=ACTOR, now=NOON)
    of_group = set_holdout(1_000, group_slug="teas", actor=ACTOR, now=NOON)
    publish(in_group("first", 0, 4_000))
    publish(in_group("second", 0, 10_000, exclusion_group_id=None))

    first, second = entry_of("first"), entry_of("second")

    assert first["filters"] == [
        {"seed": everywhere.salt, "ranges": [[500, 10_000]]},
        {"seed": of_group.salt, "ranges": [[1_000, 10_000]]},
        {"seed": group.salt, "ranges": [[0, 4_000]]},
    ]
    assert first["holdouts"] == [
        {"seed": everywhere.salt, "ranges": [[0, 500]]},
        {"seed": of_group.salt, "ranges": [[0, 1_000]]},
    ]
    assert second["filters"] == first["filters"][:1]
    assert len({everywhere.salt, of_group.salt, group.salt, first["salt"], second["salt"]}) == 5


def test_overlap_in_a_group__publish__is_refused_naming_the_other() -> None:
    make_group()
    publish(in_group("first", 0, 4_000))

    with pytest.raises(PreflightFailed, match="first runs on 0 to 4000 of the group teas, which overlaps 3999 to 8000"):
        publish(in_group("second", 3_999, 8_000))

    assert Experiment.objects.get(slug="second").status == "draft"


def test_ranges_beside_each_other__both__run() -> None:
    make_group()
    publish(in_group("first", 0, 4_000))

    second = publish(in_group("second", 4_000, 10_000))

    assert second.status == "running"


def test_overlap__with_one_that_is_paused__comes_up_when_that_resumes() -> None:
    make_group()
    service = CatalogExperimentService(ACTOR)
    publish(in_group("first", 0, 4_000))
    service.pause("first", now=LATER, reason="a break")
    publish(in_group("second", 0, 4_000))

    with pytest.raises(PreflightFailed, match="second runs on"):
        service.resume("first", now=LATER)


def test_overlap__of_two_published_at_once__one_wins() -> None:
    make_group()
    drafts = [in_group(slug, 0, 6_000) for slug in ("first", "second")]

    raised = at_once(*[partial(publish, draft) for draft in drafts])

    assert sorted(type(error).__name__ for error in raised) == ["NoneType", "PreflightFailed"]
    assert Experiment.objects.running().count() == 1


@pytest.mark.parametrize(
    ("changes", "is_new_phase"),
    [
        ({"exclusion_end": 6_000}, False),
        ({"exclusion_start": 500, "exclusion_end": 9_000}, False),
        ({"exclusion_group": None}, False),
        ({"exclusion_end": 3_000}, True),
        ({"exclusion_start": 2_000, "exclusion_end": 9_000}, True),
        ({"exclusion_group": "coffees"}, True),
    ],
)
def test_range__edited_while_running__opens_a_phase_unless_it_only_adds_units(
    changes: dict[str, Any], is_new_phase: bool
) -> None:
    make_group()
    make_group("coffees")
    running = publish(in_group("first", 1_000, 4_000))
    edit(running, **changes)

    publish(running, now=LATER)

    assert phase_of(running).number == (2 if is_new_phase else 1)
    assert last_event(running).after["new_phase_because"] == (["exclusion group"] if is_new_phase else [])


def test_group__joined_while_running__cuts_units_and_opens_a_phase() -> None:
    make_group()
    running = publish(in_group("first", 0, 10_000, exclusion_group_id=None))
    edit(running, exclusion_group="teas", exclusion_end=5_000)

    publish(running, now=LATER)

    assert phase_of(running).number == 2
    assert entry_of("first")["filters"][0]["ranges"] == [[0, 5_000]]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"exclusion_group": "ghost"}, "exclusion_group", "unknown_group"),
        ({"exclusion_group": 5}, "exclusion_group", "type"),
        ({"exclusion_group": "nul\x00"}, "exclusion_group", "characters"),
        ({"exclusion_start": -1}, "exclusion_start", "range"),
        ({"exclusion_start": 10_000}, "exclusion_start", "range"),
        ({"exclusion_end": 10_001}, "exclusion_end", "range"),
        ({"exclusion_end": 0}, "exclusion_end", "range"),
        ({"exclusion_start": 5_000, "exclusion_end": 5_000}, "exclusion_end", "range"),
        ({"exclusion_start": True}, "exclusion_start", "type"),
        ({"exclusion_end": "10"}, "exclusion_end", "type"),
    ],
)
def test_draft__with_an_unsound_range__is_refused(changes: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(InvalidExperiment) as refused:
        CatalogExperimentService(ACTOR).create(ExperimentSpec(slug="first", name="First", **changes), now=NOON)

    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]


def test_range__past_every_rule__is_refused_by_the_database() -> None:
    make_group()
    draft = in_group("first", 0, 4_000)

    with pytest.raises(IntegrityError), transaction.atomic():
        Experiment.objects.filter(pk=draft.pk).update(exclusion_start=4_000)


def test_group__in_use__cannot_be_deleted() -> None:
    group = make_group()
    in_group("first", 0, 4_000)

    with pytest.raises(ProtectedError):
        group.delete()


def test_clone__of_a_grouped_experiment__keeps_group_and_range() -> None:
    make_group()
    publish(in_group("first", 0, 4_000))

    copy = CatalogExperimentService(ACTOR).clone("first", new_slug="again", name="Again", now=LATER)

    assert (copy.exclusion_group_id, copy.exclusion_start, copy.exclusion_end) == ("teas", 0, 4_000)


@pytest.mark.parametrize(("slug", "name"), [("teas", "Teas"), ("No Slug", "X"), ("fine", ""), ("fine", "n" * 201)])
def test_group__unsound_or_taken__is_refused(slug: str, name: str) -> None:
    make_group()

    with pytest.raises(InvalidExclusion):
        create_group(slug, name, actor=ACTOR, now=NOON)

    assert ExclusionGroup.objects.count() == 1


@pytest.mark.parametrize(("size", "group"), [(-1, None), (10_001, None), (True, None), (5, "ghost")])
def test_holdout__unsound__is_refused(size: int, group: str | None) -> None:
    with pytest.raises(InvalidExclusion):
        set_holdout(size, group_slug=group, actor=ACTOR, now=NOON)

    assert not Holdout.objects.exists()


def test_holdout__resized__keeps_its_salt_opens_no_phase_and_publishes_at_once() -> None:
    publish(make_experiment())
    first = set_holdout(500, actor=ACTOR, now=NOON)

    second = set_holdout(800, actor="user:olga", now=LATER)

    assert (second.pk, second.salt, second.changed_at) == (first.pk, first.salt, LATER)
    assert entry_of("cup-saucer")["holdouts"] == [{"seed": first.salt, "ranges": [[0, 800]]}]
    assert Phase.objects.count() == 1
    event = ExperimentEvent.objects.latest("occurred_at", "id")
    assert (event.experiment_slug, event.actor, event.before) == ("holdout:", "user:olga", {"size": 500})
    assert event.after == {"size": 800, "document_version": publication.newest_version()}


def test_holdout__sized_as_it_is__publishes_nothing() -> None:
    set_holdout(500, actor=ACTOR, now=NOON)

    again = set_holdout(500, actor=ACTOR, now=LATER)

    assert (PublishedDocument.objects.count(), again.changed_at) == (1, NOON)


def test_holdouts__sized_by_four_at_once__there_is_one_and_the_document_agrees() -> None:
    publish(make_experiment())

    raised = at_once(*[partial(set_holdout, size, actor=ACTOR, now=NOON) for size in (100, 200, 300, 400)])

    assert raised == [None] * 4
    assert entry_of("cup-saucer")["holdouts"][0]["ranges"] == [[0, Holdout.objects.get().size]]


@pytest.mark.parametrize("model", [Phase, ExclusionGroup, Holdout])
def test_salt__changed_by_anybody__is_refused_by_the_database(model: type[Phase | ExclusionGroup | Holdout]) -> None:
    make_group()
    set_holdout(500, actor=ACTOR, now=NOON)
    publish(make_experiment())

    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        model._default_manager.update(salt="another")


def test_document__of_ten_grouped_experiments__takes_a_handful_of_queries(
    django_assert_max_num_queries: Any,
) -> None:
    make_group()
    set_holdout(500, group_slug="teas", actor=ACTOR, now=NOON)
    for number in range(10):
        publish(in_group(f"in-{number}", number * 1_000, (number + 1) * 1_000), now=NOON + dt.timedelta(minutes=number))

    with transaction.atomic(), django_assert_max_num_queries(6):
        publication.publish_document(now=LATER)
