"""GET, PUT and DELETE /catalog/experiments/{slug}."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from catalog_experiments.models import Experiment, ExperimentEvent
from tests.builders import make_experiment
from tests.catalog_experiments.api.conftest import Api, fields_of, json_of, problem_of

HERE = "/catalog/experiments/cup-saucer"


@pytest.fixture
def draft(db: None) -> Experiment:
    """A draft that could be published."""
    return make_experiment()


def test_get__known__shows_it_with_a_tag_that_starts_with_its_version(api: Api, draft: Experiment) -> None:
    response = api.get(HERE)

    assert response.status_code == 200
    assert json_of(response)["slug"] == "cup-saucer"
    assert response.headers["ETag"].startswith(f'"{draft.lock_version}-')


def test_get__held_already__answers_304(api: Api, draft: Experiment) -> None:
    tag = api.get(HERE).headers["ETag"]

    for held in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        assert api.get(HERE, **{"If-None-Match": held}).status_code == 304
    assert api.get(HERE, **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("slug", ["ghost", "Cup-Saucer", "cup%00saucer", "a%2Fb", "..", "x" * 200, "%ff", "cup'--"])
def test_get__unknown__is_404(api: Api, draft: Experiment, slug: str) -> None:
    problem_of(api.get(f"/catalog/experiments/{slug}"), 404, "not_found")


def test_put__some_fields__leaves_the_others(api: Api, draft: Experiment) -> None:
    response = api.put(HERE, {"name": "Renamed", "sample_size_guardrail": 300})

    shown = json_of(response)
    assert (shown["name"], shown["sample_size_guardrail"]) == ("Renamed", 300)
    assert shown["guardrail_config"] == {"min_acceptance_rate": 0.1}
    assert len(shown["variants"]) == 2
    assert response.headers["ETag"] == api.get(HERE).headers["ETag"]


def test_put__guardrails__are_replaced_as_a_whole(api: Api, draft: Experiment) -> None:
    shown = json_of(api.put(HERE, {"guardrail_config": {"max_acceptance_rate": 0.9}}))

    assert shown["guardrail_config"] == {"max_acceptance_rate": 0.9}


def test_put__variants__are_replaced_as_a_whole(api: Api, draft: Experiment) -> None:
    variants = [
        {"key": "control", "name": "As is", "is_control": True, "bundle_slug": "cup-saucer-control"},
        {"key": "bold", "name": "Bold", "bundle_slug": "cup-saucer-test", "override_payload": {"headline": "Now!"}},
    ]

    shown = json_of(api.put(HERE, {"variants": variants}))

    assert [(variant["key"], variant["name"]) for variant in shown["variants"]] == [
        ("control", "As is"),
        ("bold", "Bold"),
    ]


@pytest.mark.parametrize("field", ["slug", "id", "created_at", "published_at", "lock_version", "metrics", "owner_id"])
def test_put__field_that_is_not_for_writing__answers_422(
    api: Api, draft: Experiment, fingerprint: Callable[[], str], field: str
) -> None:
    before = fingerprint()

    problem = problem_of(api.put(HERE, {field: "x", "name": "Renamed"}), 422, "invalid")

    assert fields_of(problem) == {(field, "unknown_field")}
    assert fingerprint() == before


def test_put__empty_body__changes_nothing(api: Api, draft: Experiment, fingerprint: Callable[[], str]) -> None:
    before = fingerprint()

    assert api.put(HERE, {}).status_code == 200
    assert fingerprint() == before


def test_put__present_status__is_no_change(api: Api, draft: Experiment, fingerprint: Callable[[], str]) -> None:
    before = fingerprint()

    response = api.put(HERE, {"status": "draft"})

    assert response.status_code == 200
    assert fingerprint() == before


def test_put__present_status_of_a_completed_one__is_no_change(
    api: Api, draft: Experiment, fingerprint: Callable[[], str]
) -> None:
    for step in ("publish", "complete"):
        api.post(f"{HERE}/{step}")
    before = fingerprint()

    assert api.put(HERE, {"status": "completed"}).status_code == 200
    problem_of(api.put(HERE, {"name": "Too late"}), 409, "illegal_move")
    assert fingerprint() == before


def test_put__status__maps_to_the_verb(api: Api, draft: Experiment) -> None:
    for status in ("running", "paused", "running", "completed"):
        response = api.put(HERE, {"status": status})
        assert response.status_code == 200, response.content
        assert json_of(response)["status"] == status

    assert list(ExperimentEvent.objects.filter(experiment=draft).order_by("id").values_list("action", flat=True)) == [
        "publish",
        "pause",
        "resume",
        "complete",
    ]


@pytest.mark.parametrize(
    ("status", "wanted", "legal"),
    [
        ("draft", "paused", ["publish", "delete"]),
        ("draft", "completed", ["publish", "delete"]),
        ("completed", "running", ["conclude", "clone"]),
        ("completed", "draft", ["conclude", "clone"]),
    ],
)
def test_put__illegal_status__answers_409_with_the_legal_moves(
    api: Api, draft: Experiment, fingerprint: Callable[[], str], status: str, wanted: str, legal: list[str]
) -> None:
    if status == "completed":
        for step in ("running", "completed"):
            api.put(HERE, {"status": step})
    before = fingerprint()

    problem = problem_of(api.put(HERE, {"status": wanted}), 409, "illegal_move")

    assert (problem["present_status"], problem["legal_moves"]) == (status, legal)
    assert fingerprint() == before


def test_put__with_the_present_tag__is_done_once(api: Api, draft: Experiment) -> None:
    tag = api.get(HERE).headers["ETag"]

    first = api.put(HERE, {"name": "Mine"}, **{"If-Match": tag})
    second = api.put(HERE, {"name": "Theirs"}, **{"If-Match": tag})

    assert first.status_code == 200
    problem = problem_of(second, 412, "stale_version")
    assert problem["current_version"] == json_of(first)["lock_version"]
    assert json_of(api.get(HERE))["name"] == "Mine"


@pytest.mark.parametrize(
    "tag", ['"abc"', "0", "", 'W/"0-' + "0" * 32 + '"', '"-1-' + "0" * 32 + '"', '"\u0660-' + "0" * 32 + '"']
)
def test_put__tag_we_never_made__answers_412(api: Api, draft: Experiment, tag: str) -> None:
    if not tag.isascii():
        tag = tag.encode().decode("latin-1")

    problem_of(api.put(HERE, {"name": "Mine"}, **{"If-Match": tag}), 412, "stale_version")


def test_put__any_version__is_done(api: Api, draft: Experiment) -> None:
    assert api.put(HERE, {"name": "Mine"}, **{"If-Match": "*"}).status_code == 200


def test_changes__without_tag_where_it_is_required__answer_428(api: Api, draft: Experiment, settings: Settings) -> None:
    settings.API_REQUIRE_IF_MATCH = True

    for method, path in [("PUT", HERE), ("DELETE", HERE), ("POST", f"{HERE}/publish"), ("POST", f"{HERE}/pause")]:
        problem_of(api.call(method, path, {}), 428, "if_match_required")
    assert api.put(HERE, {"name": "Mine"}, **{"If-Match": api.get(HERE).headers["ETag"]}).status_code == 200


def test_delete__draft__is_gone_and_leaves_its_events(api: Api, draft: Experiment) -> None:
    response = api.call("DELETE", HERE)

    assert (response.status_code, response.content) == (204, b"")
    problem_of(api.get(HERE), 404, "not_found")
    assert ExperimentEvent.objects.filter(experiment_slug="cup-saucer", action="delete").exists()
    problem_of(api.call("DELETE", HERE), 404, "not_found")


def test_delete__once_published__answers_409(api: Api, draft: Experiment) -> None:
    api.post(f"{HERE}/publish")

    problem = problem_of(api.call("DELETE", HERE), 409, "illegal_move")

    assert "pause" in problem["legal_moves"]
    assert Experiment.objects.filter(slug="cup-saucer").exists()


def test_delete__stale__answers_412(api: Api, draft: Experiment) -> None:
    tag = api.get(HERE).headers["ETag"]
    api.put(HERE, {"name": "Newer"})

    problem_of(api.call("DELETE", HERE, **{"If-Match": tag}), 412, "stale_version")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": "archived"}, "status"),
        ({"status": 1}, "status"),
        ({"status": None}, "status"),
        ({"guardrail_config": None}, "guardrail_config"),
        ({"variants": None}, "variants"),
        ({"name": ""}, "name"),
        ({"coverage": 10_001}, "coverage"),
    ],
)
def test_put__field_refused__answers_422_and_changes_nothing(
    api: Api, draft: Experiment, fingerprint: Callable[[], str], change: dict[str, Any], field: str
) -> None:
    before = fingerprint()

    problem = problem_of(api.put(HERE, {"description": "new", **change}), 422, "invalid")

    assert field in {error["field"] for error in problem["errors"]}
    assert fingerprint() == before


def test_put__word_that_is_no_choice__answers_with_the_words(api: Api) -> None:
    make_experiment()

    problem = problem_of(api.put(HERE, {"status": "flying"}), 422, "invalid")

    assert problem["errors"][0]["detail"] == "Use one of: draft, running, paused, completed."
