"""The draft page: creates, edits and clones through the domain, and puts its refusals beside the fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from catalog_experiments.models import Experiment, ExperimentStatus
from tests.builders import make_bundle, make_experiment

HOME = "/admin/merchandising/bundles"
ClientAs = Callable[[str], Client]


def filled(**changes: Any) -> dict[str, Any]:
    """Return a valid page for two variants on two bundles, as a browser posts it."""
    data = {
        "slug": "cups",
        "name": "Cups",
        "description": "",
        "hypothesis": "More take it",
        "sample_size_guardrail": "250",
        "min_acceptance_percent": "10",
        "max_acceptance_percent": "",
        "max_drop_percent": "",
        "coverage_percent": "100",
        "planned_sample_size": "",
        "variants-TOTAL_FORMS": "3",
        "variants-INITIAL_FORMS": "2",
        "variants-MIN_NUM_FORMS": "0",
        "variants-MAX_NUM_FORMS": "20",
        "ramp-TOTAL_FORMS": "0",
        "ramp-INITIAL_FORMS": "0",
        **row(0, key="control", name="Control", bundle_slug="cups-a", weight="50"),
        **row(1, key="test", name="Test", bundle_slug="cups-b", weight="50", override_payload='{"headline": "Save"}'),
        **row(2),
    }
    return data | changes


def row(index: int, **values: str) -> dict[str, str]:
    """Return one variant row as posted."""
    blank = {"key": "", "name": "", "bundle_slug": "", "weight": "", "override_payload": "{}"}
    return {f"variants-{index}-{name}": value for name, value in (blank | values).items()}


@pytest.mark.usefixtures("bundles")
def test_new__valid_page__creates_the_draft(client_as: ClientAs) -> None:
    answer = client_as("merchandiser").post(f"{HOME}/new", filled())

    experiment = Experiment.objects.get(slug="cups")
    assert answer.status_code == 302
    assert experiment.status == ExperimentStatus.DRAFT
    assert experiment.guardrail_config == {"min_acceptance_rate": 0.1}
    assert [(v.key, v.bundle_id, v.is_control) for v in experiment.variants.all()] == [
        ("control", "cups-a", True),
        ("test", "cups-b", False),
    ]


@pytest.mark.usefixtures("bundles")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slug": "Not/safe"}, "lower-case"),
        ({"variants-1-bundle_slug": "no-such"}, "no-such"),
        ({"variants-1-key": "control"}, "control"),
        ({"min_acceptance_percent": "100"}, "less than or equal to 99.99"),
        ({"min_acceptance_percent": "40", "max_acceptance_percent": "30"}, "must lie below"),
        ({"variants-1-override_payload": "[1]"}, "JSON object"),
        ({"variants-1-override_payload": "{"}, "valid JSON"),
        ({"name": ""}, "required"),
    ],
)
def test_new__bad_value__says_which_and_stores_nothing(
    client_as: ClientAs, changes: dict[str, str], message: str
) -> None:
    answer = client_as("merchandiser").post(f"{HOME}/new", filled(**changes))

    assert answer.status_code == 422
    assert message.lower() in answer.content.decode().lower()
    assert not Experiment.objects.exists()


def test_new__many_bad_values__are_all_told_at_once_each_at_its_field(client_as: ClientAs) -> None:
    make_experiment(slug="cups")

    answer = client_as("merchandiser").post(
        f"{HOME}/new",
        filled(
            name="",
            sample_size_guardrail="many",
            min_acceptance_percent="40",
            max_acceptance_percent="30",
            max_drop_percent="some",
            drop_metric="revenue",
            coverage_percent="lots",
            owner="nobody",
            exclusion_group="no-group",
            planned_sample_size="0",
            scheduled_start_at="2020-01-01 10:00",
            pause_rule="persistent",
            **row(0, key="Control", name="Control", bundle_slug="no-such", weight="-1"),
            **row(1, key="test", name="Test", bundle_slug="neither", weight="50", override_payload='{"url": "//x"}'),
            **{"ramp-TOTAL_FORMS": "2", "ramp-0-coverage_percent": "50", "ramp-1-coverage_percent": "20"},
        ),
    )

    control, test = answer.context["variants"].forms[:2]
    assert set(answer.context["form"].errors) == {
        "slug",
        "name",
        "sample_size_guardrail",
        "min_acceptance_percent",
        "max_drop_percent",
        "coverage_percent",
        "owner",
        "exclusion_group",
        "planned_sample_size",
        "scheduled_start_at",
        "pause_rule_reason",
    }
    assert (set(control.errors), set(test.errors)) == (
        {"key", "bundle_slug", "weight"},
        {"bundle_slug", "override_payload"},
    )
    assert [set(step.errors) for step in answer.context["ramp"].forms] == [set(), {"coverage_percent"}]
    assert "17 fields need another value" in answer.content.decode()
    assert all(len(told) == 1 for form in (answer.context["form"], control, test) for told in form.errors.values())


@pytest.mark.parametrize("page", [{}, {"name": "Cups"}, {"variants-TOTAL_FORMS": "many", "slug": "\0"}])
@pytest.mark.parametrize("address", ["new", "cups/edit", "cups/clone"])
def test_draft_page__hardly_anything_posted__is_refused(
    client_as: ClientAs, address: str, page: dict[str, str]
) -> None:
    make_experiment(slug="cups", name="Before")

    answer = client_as("merchandiser").post(f"{HOME}/{address}", page)

    assert answer.context["form"].errors
    assert Experiment.objects.get().name == "Before"


def test_new__field_refused_by_its_form__is_not_refused_twice(client_as: ClientAs) -> None:
    answer = client_as("merchandiser").post(
        f"{HOME}/new", filled(slug="x" * 151, **{"variants-0-bundle_slug": "y" * 151})
    )

    control = answer.context["variants"].forms[0]
    assert len(answer.context["form"].errors["slug"]) == len(control.errors["bundle_slug"]) == 1


@pytest.mark.usefixtures("bundles")
def test_new__too_many_variants__says_how_many(client_as: ClientAs) -> None:
    crowd = [row(index, key=f"v{index}", name="V", weight="0") for index in range(21)]
    page = filled(**{"variants-TOTAL_FORMS": "21"}) | {name: value for one in crowd for name, value in one.items()}

    answer = client_as("merchandiser").post(f"{HOME}/new", page)

    assert "Use at most 20 variants." in answer.context["form"].non_field_errors()


@pytest.mark.usefixtures("bundles")
def test_edit__many_bad_values__are_all_told_at_once(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    client.post(f"{HOME}/new", filled())

    answer = client.post(
        f"{HOME}/cups/edit", filled(lock_version="0", name="", **{"variants-1-bundle_slug": "no-such"})
    )

    assert (answer.status_code, set(answer.context["form"].errors)) == (422, {"name"})
    assert "no-such" in str(answer.context["variants"].forms[1].errors["bundle_slug"])
    assert Experiment.objects.get(slug="cups").name == "Cups"


def test_clone__bad_slug_and_no_name__are_told_at_once(client_as: ClientAs) -> None:
    make_experiment(slug="cups")

    answer = client_as("merchandiser").post(f"{HOME}/cups/clone", {"slug": "Not/safe", "name": ""})

    assert set(answer.context["form"].errors) == {"slug", "name"}
    assert Experiment.objects.count() == 1


def test_new__every_field_of_a_variant__says_what_it_is_for(client_as: ClientAs) -> None:
    page = client_as("merchandiser").get(f"{HOME}/new")

    control = page.context["variants"].forms[0]
    assert all(field.help_text for field in control)
    assert page.content.decode().count('id="id_variants-0-weight_helptext"') == 1


def test_new__slug_taken__stands_beside_the_slug(client_as: ClientAs) -> None:
    make_experiment(slug="cups")
    make_bundle(bundle_slug="cups-a")
    make_bundle(bundle_slug="cups-b")

    answer = client_as("merchandiser").post(f"{HOME}/new", filled())

    assert answer.status_code == 422
    assert "taken" in answer.content.decode()


def test_new__viewer__is_forbidden(client_as: ClientAs) -> None:
    assert client_as("viewer").get(f"{HOME}/new").status_code == 403


def test_edit__draft__changes_it_at_once(client_as: ClientAs) -> None:
    experiment = make_experiment(slug="cups")
    client = client_as("merchandiser")

    page = client.get(f"{HOME}/cups/edit")
    answer = client.post(
        f"{HOME}/cups/edit",
        filled(
            lock_version="0",
            name="Better cups",
            **{"variants-0-bundle_slug": "cups-control", "variants-1-bundle_slug": "cups-test"},
        ),
    )

    experiment.refresh_from_db()
    assert page.status_code == 200
    assert answer.status_code == 302, answer.content.decode()
    assert experiment.name == "Better cups"


def test_edit__stale_page__keeps_what_the_other_wrote(client_as: ClientAs) -> None:
    experiment = make_experiment(slug="cups", lock_version=3)

    answer = client_as("merchandiser").post(
        f"{HOME}/cups/edit",
        filled(lock_version="2", **{"variants-0-bundle_slug": "cups-control", "variants-1-bundle_slug": "cups-test"}),
    )

    experiment.refresh_from_db()
    assert answer.status_code == 422
    assert "Somebody changed" in answer.content.decode()
    assert "another value" not in answer.content.decode()
    assert experiment.name == "Cup and saucer"


def test_edit__settings_the_page_does_not_show__are_kept(client_as: ClientAs) -> None:
    experiment = make_experiment(slug="cups", guardrail_config={"min_acceptance_rate": 0.2, "mode": "shadow"})

    client_as("merchandiser").post(
        f"{HOME}/cups/edit",
        filled(lock_version="0", **{"variants-0-bundle_slug": "cups-control", "variants-1-bundle_slug": "cups-test"}),
    )

    experiment.refresh_from_db()
    assert experiment.guardrail_config == {"min_acceptance_rate": 0.1, "mode": "shadow"}


def test_clone__any_experiment__makes_a_draft(client_as: ClientAs) -> None:
    make_experiment(slug="cups")

    answer = client_as("merchandiser").post(f"{HOME}/cups/clone", {"slug": "cups-2", "name": "Cups again"})

    assert answer.status_code == 302
    assert Experiment.objects.get(slug="cups-2").variants.count() == 2


@pytest.mark.usefixtures("bundles")
def test_edit__saved_as_it_stands__changes_no_rate(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    client.post(f"{HOME}/new", filled(min_acceptance_percent="12.3"))

    client.post(f"{HOME}/cups/edit", filled(min_acceptance_percent="12.3", lock_version="0"))

    assert Experiment.objects.get(slug="cups").guardrail_config == {"min_acceptance_rate": 0.123}
