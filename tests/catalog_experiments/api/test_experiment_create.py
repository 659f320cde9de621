"""POST /catalog/experiments: a draft, or a refusal that names the field and changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog_experiments.models import Experiment, ExperimentEvent
from catalog_experiments.publication import create_group
from tests.builders import NOON, make_bundle, make_experiment
from tests.catalog_experiments.api.conftest import Api, fields_of, json_of, problem_of

TWO_VARIANTS = [
    {"key": "control", "name": "Control", "weight": 50, "is_control": True, "bundle_slug": "cup-control"},
    {"key": "test", "name": "Test", "weight": 50, "bundle_slug": "cup-test", "override_payload": {"headline": "Hi"}},
]


@pytest.fixture
def body(db: None) -> dict[str, Any]:
    """A draft with two variants on two bundles."""
    make_bundle(bundle_slug="cup-control")
    make_bundle(bundle_slug="cup-test")
    return {
        "slug": "cup-saucer",
        "name": "Cup and saucer",
        "description": "Take both",
        "guardrail_config": {"min_acceptance_rate": 0.1},
        "sample_size_guardrail": 250,
        "variants": TWO_VARIANTS,
    }


def test_create__two_variants__answers_201_with_the_draft(api: Api, body: dict[str, Any]) -> None:
    response = api.post("/catalog/experiments", body)

    assert response.status_code == 201
    draft = json_of(response)
    assert draft["status"] == "draft"
    assert [variant["key"] for variant in draft["variants"]] == ["control", "test"]
    assert draft["variants"][1]["override_payload"] == {"headline": "Hi"}
    assert draft["variants"][0]["metrics"] == []
    assert response.headers["Location"] == "/api/v1/catalog/experiments/cup-saucer"
    assert response.headers["ETag"] == api.get(response.headers["Location"]).headers["ETag"]


def test_create__in_an_exclusion_group__shows_its_range(api: Api, body: dict[str, Any]) -> None:
    create_group("teas", "Teas", actor="user:mara", now=NOON)
    group = {"exclusion_group": "teas", "exclusion_start": 0, "exclusion_end": 4_000}

    draft = json_of(api.post("/catalog/experiments", body | group))
    edited = json_of(api.put("/catalog/experiments/cup-saucer", {"exclusion_group": None}))

    assert {name: draft[name] for name in group} == group
    assert edited["exclusion_group"] is None


def test_create__in_an_unknown_group__names_the_field(api: Api, body: dict[str, Any]) -> None:
    problem = problem_of(api.post("/catalog/experiments", body | {"exclusion_group": "ghost"}), 422, "invalid")

    assert fields_of(problem) == {("exclusion_group", "unknown_group")}


def test_create__by_a_key__is_audited_under_its_name(api_with: Callable[..., Api], body: dict[str, Any]) -> None:
    api_with("operate").post("/catalog/experiments", body)

    event = ExperimentEvent.objects.get(experiment_slug="cup-saucer")
    assert (event.actor, event.action) == ("key:operate", "create")


def test_create__slug_and_name_alone__takes_the_defaults_of_the_predecessor(api: Api) -> None:
    draft = json_of(api.post("/catalog/experiments", {"slug": "bare", "name": "Bare"}))

    assert draft["description"] is None
    assert draft["guardrail_config"] == {}
    assert draft["sample_size_guardrail"] == 0
    assert draft["variants"] == []


def test_create__slug_taken__answers_409_naming_it(
    api: Api, body: dict[str, Any], fingerprint: Callable[[], str]
) -> None:
    make_experiment(slug="cup-saucer", variants=[])
    before = fingerprint()

    problem = problem_of(api.post("/catalog/experiments", body), 409, "duplicate_slug")

    assert fields_of(problem) == {("slug", "duplicate")}
    assert fingerprint() == before


REFUSED = {
    "unknown-field": ({"colour": "red"}, "colour"),
    "read-only-field": ({"status": "running"}, "status"),
    "internal-field": ({"lock_version": 7}, "lock_version"),
    "metadata": ({"metadata": {}}, "metadata"),
    "no-name": ({"name": None}, "name"),
    "blank-name": ({"name": "  "}, "name"),
    "long-name": ({"name": "x" * 201}, "name"),
    "number-as-name": ({"name": 5}, "name"),
    "slug-with-slash": ({"slug": "a/b"}, "slug"),
    "slug-with-capital": ({"slug": "Cup"}, "slug"),
    "slug-with-newline": ({"slug": "cup\n"}, "slug"),
    "long-slug": ({"slug": "x" * 151}, "slug"),
    "long-description": ({"description": "x" * 501}, "description"),
    "guardrail-as-text": ({"guardrail_config": "0.1"}, "guardrail_config"),
    "rate-as-text": ({"guardrail_config": {"min_acceptance_rate": "0.5"}}, "guardrail_config.min_acceptance_rate"),
    "rate-as-boolean": ({"guardrail_config": {"min_acceptance_rate": True}}, "guardrail_config.min_acceptance_rate"),
    "rate-in-percent": ({"guardrail_config": {"min_acceptance_rate": 35}}, "guardrail_config.min_acceptance_rate"),
    "negative-rate": ({"guardrail_config": {"min_acceptance_rate": -1}}, "guardrail_config.min_acceptance_rate"),
    "unknown-guardrail": ({"guardrail_config": {"min_rate": 0.1}}, "guardrail_config.min_rate"),
    "guardrail-sample-as-word": ({"guardrail_config": {"min_sample_size": "many"}}, "guardrail_config.min_sample_size"),
    "sample-as-text": ({"sample_size_guardrail": "250"}, "sample_size_guardrail"),
    "sample-in-arabic-digits": ({"sample_size_guardrail": "٣"}, "sample_size_guardrail"),
    "sample-with-underscore": ({"sample_size_guardrail": "1_000"}, "sample_size_guardrail"),
    "sample-as-boolean": ({"sample_size_guardrail": True}, "sample_size_guardrail"),
    "sample-as-float": ({"sample_size_guardrail": 250.0}, "sample_size_guardrail"),
    "sample-too-large": ({"sample_size_guardrail": 1_000_001}, "sample_size_guardrail"),
    "negative-sample": ({"sample_size_guardrail": -1}, "sample_size_guardrail"),
    "variants-as-object": ({"variants": {"control": {}}}, "variants"),
    "variant-as-text": ({"variants": ["control"]}, "variants[0]"),
    "variant-unknown-field": ({"variants": [{**TWO_VARIANTS[0], "size": 1}]}, "variants[0].size"),
    "weight-as-text": ({"variants": [{**TWO_VARIANTS[0], "weight": "50"}]}, "variants[0].weight"),
    "weight-as-boolean": ({"variants": [{**TWO_VARIANTS[0], "weight": True}]}, "variants[0].weight"),
    "weight-too-large": ({"variants": [{**TWO_VARIANTS[0], "weight": 10_001}]}, "variants[0].weight"),
    "control-as-word": ({"variants": [{**TWO_VARIANTS[0], "is_control": "yes"}]}, "variants[0].is_control"),
    "control-as-number": ({"variants": [{**TWO_VARIANTS[0], "is_control": 1}]}, "variants[0].is_control"),
    "payload-as-list": ({"variants": [{**TWO_VARIANTS[0], "override_payload": []}]}, "variants[0].override_payload"),
    "duplicate-key": ({"variants": [TWO_VARIANTS[0], {**TWO_VARIANTS[1], "key": "control"}]}, "variants[1].key"),
    "two-controls": (
        {"variants": [TWO_VARIANTS[0], {**TWO_VARIANTS[1], "is_control": True}]},
        "variants[1].is_control",
    ),
    "unknown-bundle": ({"variants": [{**TWO_VARIANTS[0], "bundle_slug": "ghost"}]}, "variants[0].bundle_slug"),
    "too-many-variants": ({"variants": [TWO_VARIANTS[0]] * 51}, "variants"),
    "coverage-in-percent": ({"coverage": 50.5}, "coverage"),
    "unknown-owner": ({"owner": "ghost"}, "owner"),
    "unknown-metric": ({"primary_metric": "clicks"}, "primary_metric"),
}


@pytest.mark.parametrize(("change", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_create__field_refused__answers_422_naming_it_and_changes_nothing(
    api: Api, body: dict[str, Any], fingerprint: Callable[[], str], change: dict[str, Any], field: str
) -> None:
    before = fingerprint()

    response = api.post("/catalog/experiments", body | change)

    problem = problem_of(response, 422, "invalid")
    assert field in {error["field"] for error in problem["errors"]}, problem
    assert all(error["detail"] for error in problem["errors"])
    assert fingerprint() == before


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_create__no_object__answers_422(api: Api, body: object) -> None:
    import orjson

    problem_of(api.post("/catalog/experiments", orjson.dumps(body)), 422, "invalid")


def test_create__without_the_operate_scope__is_forbidden(api_with: Callable[..., Api], body: dict[str, Any]) -> None:
    response = api_with("read", "ingest", "evaluate").post("/catalog/experiments", body)

    problem_of(response, 403, "permission_denied")
    assert not Experiment.objects.exists()


def test_create__again__is_a_duplicate(api: Api, body: dict[str, Any]) -> None:
    api.post("/catalog/experiments", body)

    problem_of(api.post("/catalog/experiments", body), 409, "duplicate_slug")
    assert Experiment.objects.count() == 1
