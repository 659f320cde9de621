"""Exclusion groups, holdouts and force links in the admin: by whom they may be made, and that the domain does it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from catalog_experiments.models import ExclusionGroup, Experiment, ExperimentEvent, Holdout, PublishedDocument
from catalog_experiments.publication import create_group, read_force_link, set_holdout
from tests.builders import NOON, make_experiment, make_running_experiment

ClientAs = Callable[[str], Client]
GROUPS = "/admin/catalog_experiments/exclusiongroup/"
HOLDOUTS = "/admin/catalog_experiments/holdout/"
HOME = "/admin/merchandising/bundles"


def make_group() -> ExclusionGroup:
    return create_group("teas", "Teas", actor="user:mara", now=NOON)


def test_group__added__goes_through_the_domain(client_as: ClientAs) -> None:
    answer = client_as("merchandiser").post(f"{GROUPS}add/", {"slug": "teas", "name": "Teas"})

    assert answer.status_code == 302, answer.content.decode()
    assert ExclusionGroup.objects.get().slug == "teas"
    assert ExperimentEvent.objects.get().actor == "user:a-merchandiser"


def test_group__with_a_taken_slug__says_so_beside_the_field(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    make_group()

    answer = client.post(f"{GROUPS}add/", {"slug": "teas", "name": "Again"})

    assert answer.status_code == 200
    assert "is taken" in answer.content.decode()


def test_groups__list__names_who_takes_what(client_as: ClientAs) -> None:
    client = client_as("viewer")
    make_running_experiment(exclusion_group=make_group(), exclusion_end=4_000)
    set_holdout(250, group_slug="teas", actor="user:mara", now=NOON)

    page = client.get(GROUPS).content.decode()

    assert "cup-saucer 0 to 4000" in page
    assert "2.5 %" in page


def test_holdout__added_then_resized__is_published_each_time(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    first = client.post(f"{HOLDOUTS}add/", {"group": "", "size": "500"})
    holdout = Holdout.objects.get()

    second = client.post(f"{HOLDOUTS}{holdout.pk}/change/", {"size": "800"})

    holdout.refresh_from_db()
    assert (first.status_code, second.status_code) == (302, 302), second.content.decode()
    assert (holdout.size, holdout.group) == (800, None)
    assert PublishedDocument.objects.count() == 2


@pytest.mark.parametrize("size", ["10001", "-1", "half"])
def test_holdout__unsound__is_refused_in_the_form(client_as: ClientAs, size: str) -> None:
    answer = client_as("merchandiser").post(f"{HOLDOUTS}add/", {"group": "", "size": size})

    assert answer.status_code == 200
    assert not Holdout.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("address", [GROUPS, HOLDOUTS])
def test_add__without_the_permission__is_refused(client_as: ClientAs, role: str, address: str) -> None:
    assert client_as(role).get(f"{address}add/").status_code == 403


def test_draft_form__with_a_group__stores_it_and_places_refusals(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    make_group()
    make_experiment()
    form = draft_form(client)

    refused = client.post(f"{HOME}/cup-saucer/edit", form | {"exclusion_group": "ghost"})
    saved = client.post(
        f"{HOME}/cup-saucer/edit",
        form | {"exclusion_group": "teas", "exclusion_start": "1000", "exclusion_end": "5000"},
    )

    experiment = Experiment.objects.get()
    assert refused.status_code == 422
    assert "There is no exclusion group" in refused.content.decode()
    assert saved.status_code == 302, saved.content.decode()
    assert (experiment.exclusion_group_id, experiment.exclusion_start, experiment.exclusion_end) == ("teas", 1000, 5000)


def test_detail__of_a_published_experiment__offers_a_link_to_each_variant(client_as: ClientAs) -> None:
    client = client_as("viewer")
    make_running_experiment()

    page = client.get(f"{HOME}/cup-saucer").content.decode()

    tokens = [part.split('"')[0] for part in page.split("/products/cup?force=")[1:]]
    links = [read_force_link(token) for token in tokens]
    assert [link and link.variant_key for link in links] == ["control", "test"]
    assert "copy.js" in page


def test_detail__of_a_draft__offers_none(client_as: ClientAs) -> None:
    client = client_as("viewer")
    make_experiment()

    assert "?force=" not in client.get(f"{HOME}/cup-saucer").content.decode()


def draft_form(client: Client) -> dict[str, str]:
    """Return the edit page's fields as a browser would post them back."""
    context = client.get(f"{HOME}/cup-saucer/edit").context
    form, variants, ramp = context["form"], context["variants"], context["ramp"]
    fields = {name: form[name].value() for name in form.fields}
    for row in (variants.management_form, *variants.forms, ramp.management_form, *ramp.forms):
        fields |= {row.add_prefix(name): row[name].value() for name in row.fields}
    return {name: "" if value is None else str(value) for name, value in fields.items()}
