"""GET /catalog/experiments: a bare array, newest first, bounded, in a constant number of queries."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments.models import Experiment, VariantMetric
from tests.builders import NOON, make_experiment, make_running_experiment
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of


def make_metric(experiment: Experiment, key: str, **overrides: Any) -> VariantMetric:
    fields: dict[str, Any] = {
        "window_start": NOON.date(),
        "acceptance_rate": "0.1800",
        "acceptance_count": 180,
        "sample_size": 1_000,
        "exposed_count": 5_000,
        "computed_at": NOON,
        "watermark_at": NOON,
    }
    variant = experiment.variants.get(key=key)
    fields |= {"experiment": experiment, "variant": variant, "phase": experiment.current_phase}
    return VariantMetric.objects.create(**(fields | overrides))


def test_list__nothing_yet__is_an_empty_array(api: Api) -> None:
    response = api.get("/catalog/experiments")

    assert response.status_code == 200
    assert response.content == b"[]"
    assert response.headers["Content-Type"] == "application/json"
    assert "Link" not in response.headers


def test_list__several__newest_first(api: Api) -> None:
    for slug in ("first", "second", "third"):
        make_experiment(slug=slug)

    assert [one["slug"] for one in json_of(api.get("/catalog/experiments"))] == ["third", "second", "first"]


def test_list__running_with_metrics__shows_the_newest_row_of_the_present_phase(api: Api) -> None:
    experiment = make_running_experiment(slug="measured")
    make_metric(experiment, "control", window_start=dt.date(2026, 3, 1), acceptance_rate="0.1000")
    make_metric(experiment, "control")
    make_metric(experiment, "test", acceptance_rate="0.0950", acceptance_count=95, lift_vs_control="-0.4722")

    [shown] = json_of(api.get("/catalog/experiments"))

    control, test = (variant["metrics"] for variant in shown["variants"])
    assert [metric["acceptance_rate"] for metric in control] == [0.18]
    assert control[0]["lift_vs_control"] is None
    assert test[0]["lift_vs_control"] == -0.4722
    assert shown["phase"] == 1


def test_list__more_experiments__takes_no_more_queries(api: Api) -> None:
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert api.get("/catalog/experiments").status_code == 200
        return len(queries)

    make_metric(make_running_experiment(slug="one"), "test")
    few = count()
    for number in range(8):
        make_metric(make_running_experiment(slug=f"more-{number}"), "test")

    assert count() == few <= 6


def test_list__followed_by_its_links__shows_each_once(api: Api) -> None:
    for number in range(5):
        make_experiment(slug=f"e-{number}", variants=[])

    seen, address = [], "/api/v1/catalog/experiments?limit=2"
    while address:
        response = api.get(address)
        seen += [one["slug"] for one in json_of(response)]
        link = response.headers.get("Link", "")
        assert not link or link.endswith('; rel="next"')
        address = link.partition(">")[0].removeprefix("<")

    assert seen == ["e-4", "e-3", "e-2", "e-1", "e-0"]


def test_list__a_hundred_and_one__shows_a_hundred_and_a_link(api: Api) -> None:
    Experiment.objects.bulk_create(Experiment(slug=f"e-{number}", name="E") for number in range(101))

    response = api.get("/catalog/experiments")

    assert len(json_of(response)) == 100
    assert "before=" in response.headers["Link"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=ten",
        "limit=1e1",
        "limit=٣",
        "limit=1_0",
        "limit=",
        "limit=1&limit=2",
        "before=not-a-cursor",
        "before=%00",
        "before=",
        "status=running",
        "_connector=OR",
        "a__b__password__startswith=x",
        "ordering=-id",
        "format=html",
        "_method=DELETE",
    ],
)
def test_list__odd_query__answers_400_naming_it(api: Api, query: str) -> None:
    problem = problem_of(api.get(f"/catalog/experiments?{query}"), 400, "invalid_query")

    assert query.partition("=")[0][:40] in problem["detail"]


def test_list__unchanged__answers_304_to_its_tag(api: Api) -> None:
    make_metric(make_running_experiment(slug="steady"), "test")
    first = api.get("/catalog/experiments")

    again = api.get("/catalog/experiments", **{"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Authorization" in again.headers["Vary"]


def test_list__changed__has_another_tag(api: Api) -> None:
    before = api.get("/catalog/experiments").headers["ETag"]
    make_experiment(slug="new")

    response = api.get("/catalog/experiments", **{"If-None-Match": before})

    assert response.status_code == 200
    assert response.headers["ETag"] != before


def test_list__head__has_the_headers_without_the_body(api: Api) -> None:
    response = api.call("HEAD", "/catalog/experiments")

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["ETag"] == api.get("/catalog/experiments").headers["ETag"]


def test_list__without_the_read_scope__is_forbidden(api_with: Callable[..., Api]) -> None:
    problem_of(api_with("operate").get("/catalog/experiments"), 403, "permission_denied")
