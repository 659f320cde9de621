"""/catalog/bundles/: the predecessor's camelCase, now behind a key."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog_experiments.models import Bundle
from tests.builders import make_bundle, make_experiment
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of

HERE = "/catalog/bundles/"
BODY: dict[str, Any] = {
    "primaryProductSlug": "cup",
    "bundleSlug": "cup-and-saucer",
    "title": "Take the saucer",
    "description": "Both together",
    "savingsCopy": "Save 10 %",
    "cmsPriority": 50,
    "components": ["cup", {"slug": "saucer", "quantity": 2}],
    "metadata": {"origin": "test"},
}


def test_create__as_the_predecessor_spells_it__answers_201(api: Api) -> None:
    response = api.post(HERE, BODY)

    assert response.status_code == 201, response.content
    shown = json_of(response)
    expected = BODY | {"components": [{"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 2}]}
    assert {name: shown[name] for name in BODY} == expected
    assert shown["id"]


def test_create__money_and_stock__are_taken_too(api: Api) -> None:
    more = {"priceMinor": 3240, "costMinor": None, "currency": "GBP", "isActive": False, "stockState": "low"}

    shown = json_of(api.post(HERE, BODY | more | {"cmsOverride": {"headline": "Hi"}}))

    assert {name: shown[name] for name in more} == more
    assert shown["cmsOverride"] == {"headline": "Hi"}


def test_create__slug_taken__answers_409(api: Api, fingerprint: Callable[[], str]) -> None:
    make_bundle()
    before = fingerprint()

    problem = problem_of(api.post(HERE, BODY), 409, "duplicate_slug")

    assert problem["errors"][0]["field"] == "bundleSlug"
    assert fingerprint() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"primary_product_slug": "cup"}, "primary_product_slug"),
        ({"id": "0"}, "id"),
        ({"bundleSlug": "a/b"}, "bundleSlug"),
        ({"bundleSlug": None}, "bundleSlug"),
        ({"title": ""}, "title"),
        ({"cmsPriority": -1}, "cmsPriority"),
        ({"cmsPriority": 201}, "cmsPriority"),
        ({"cmsPriority": "5"}, "cmsPriority"),
        ({"cmsPriority": True}, "cmsPriority"),
        ({"components": {"slug": "cup"}}, "components"),
        ({"components": [""]}, "components[0].slug"),
        ({"components": [{"slug": "cup", "quantity": 0}]}, "components[0].quantity"),
        ({"components": [{"slug": "cup", "quantity": "2"}]}, "components[0].quantity"),
        ({"components": [{"slug": "cup", "count": 2}]}, "components[0].count"),
        ({"components": [5]}, "components[0]"),
        ({"metadata": []}, "metadata"),
        ({"priceMinor": -1}, "priceMinor"),
        ({"priceMinor": 9.99}, "priceMinor"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "EUR\n"}, "currency"),
        ({"isActive": "no"}, "isActive"),
        ({"stockState": "plenty"}, "stockState"),
    ],
)
def test_create__field_refused__answers_422_naming_it(
    api: Api, fingerprint: Callable[[], str], change: dict[str, Any], field: str
) -> None:
    before = fingerprint()

    problem = problem_of(api.post(HERE, BODY | change), 422, "invalid")

    assert field in {error["field"] for error in problem["errors"]}, problem
    assert fingerprint() == before


def test_list__several__newest_first_page_by_page(api: Api) -> None:
    for number in range(3):
        make_bundle(bundle_slug=f"b-{number}")

    first = api.get(f"{HERE}?limit=2")
    second = api.get(first.headers["Link"].partition(">")[0].removeprefix("<"))

    assert [one["bundleSlug"] for one in json_of(first)] == ["b-2", "b-1"]
    assert [one["bundleSlug"] for one in json_of(second)] == ["b-0"]
    assert "Link" not in second.headers


def test_of_product__several__the_most_prominent_first(api: Api) -> None:
    make_bundle(bundle_slug="plain", cms_priority=100)
    make_bundle(bundle_slug="top", cms_priority=1)
    make_bundle(bundle_slug="elsewhere", primary_product_slug="pot")

    assert [one["bundleSlug"] for one in json_of(api.get(f"{HERE}product/cup"))] == ["top", "plain"]
    assert json_of(api.get(f"{HERE}product/ghost")) == []
    assert json_of(api.get(f"{HERE}product/%00")) == []


def test_detail__by_slug_or_id__is_the_same(api: Api) -> None:
    bundle = make_bundle()

    assert json_of(api.get(f"{HERE}{bundle.bundle_slug}")) == json_of(api.get(f"{HERE}{bundle.pk}"))
    for reference in ("ghost", "%00", "00000000-0000-0000-0000-000000000000", "x" * 300):
        problem_of(api.get(f"{HERE}{reference}"), 404, "not_found")


def test_patch__by_id__changes_only_what_it_names(api: Api) -> None:
    bundle = make_bundle(cms_override={"headline": "kept"}, description="kept")

    response = api.call("PATCH", f"{HERE}{bundle.pk}", {"title": "New title", "metadata": {}})

    assert response.status_code == 200
    shown = json_of(response)
    assert (shown["title"], shown["description"], shown["cmsOverride"]) == ("New title", "kept", {"headline": "kept"})


@pytest.mark.parametrize("field", ["bundleSlug", "primaryProductSlug", "id", "createdAt"])
def test_patch__field_that_never_changes__answers_422(api: Api, field: str) -> None:
    bundle = make_bundle()

    problem_of(api.call("PATCH", f"{HERE}{bundle.pk}", {field: "other"}), 422, "invalid")


def test_delete__unused__is_gone(api: Api) -> None:
    bundle = make_bundle()

    assert api.call("DELETE", f"{HERE}{bundle.pk}").status_code == 204
    assert not Bundle.objects.exists()
    problem_of(api.call("DELETE", f"{HERE}{bundle.pk}"), 404, "not_found")


def test_delete__offered_by_a_published_experiment__answers_409_naming_it(api: Api) -> None:
    make_experiment()
    api.post("/catalog/experiments/cup-saucer/publish")

    problem = problem_of(api.call("DELETE", f"{HERE}cup-saucer-test"), 409, "bundle_in_use")

    assert problem["experiments"] == ["cup-saucer"]
    assert Bundle.objects.filter(bundle_slug="cup-saucer-test").exists()


def test_bundles__without_slash__answer_the_same(api: Api) -> None:
    assert api.post("/catalog/bundles", BODY).status_code == 201
    assert json_of(api.get("/catalog/bundles")) == json_of(api.get("/catalog/bundles/"))
