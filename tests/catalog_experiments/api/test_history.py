"""GET .../metrics and .../events: everything stored, newest first, page by page."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.builders import NOON, make_experiment, make_running_experiment
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of
from tests.catalog_experiments.api.test_experiment_list import make_metric

HERE = "/catalog/experiments/cup-saucer"


def pages(api: Api, address: str) -> list[list[dict[str, Any]]]:
    """Follow the links from `address` to the end."""
    found = []
    while address:
        response = api.get(address)
        assert response.status_code == 200, response.content
        found.append(json_of(response))
        address = response.headers.get("Link", "").partition(">")[0].removeprefix("<")
    return found


def test_metrics__three_days__newest_day_first_each_row_once(api: Api) -> None:
    experiment = make_running_experiment()
    for days in (2, 0, 1):  # a backfilled day is stored after a newer one
        for key in ("control", "test"):
            make_metric(experiment, key, window_start=NOON.date() - dt.timedelta(days=days))

    rows = [row for page in pages(api, f"{HERE}/metrics?limit=2") for row in page]

    days_seen = [row["window_start"] for row in rows]
    assert days_seen == sorted(days_seen, reverse=True)
    assert len({(row["window_start"], row["variant_key"]) for row in rows}) == len(rows) == 6
    assert {row["phase"] for row in rows} == {1}


def test_metrics__many_rows__take_no_more_queries(api: Api) -> None:
    experiment = make_running_experiment()

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            api.get(f"{HERE}/metrics")
        return len(queries)

    make_metric(experiment, "test")
    few = count()
    for days in range(1, 20):
        make_metric(experiment, "test", window_start=NOON.date() - dt.timedelta(days=days))

    assert count() == few


def test_events__several__newest_first_each_once(api: Api) -> None:
    make_experiment()
    for name in ("a", "b", "c", "d", "e"):
        api.put(HERE, {"name": name, "reason": f"because {name}"})

    events = [event for page in pages(api, f"{HERE}/events?limit=2") for event in page]

    assert [event["reason"] for event in events] == [f"because {name}" for name in "edcba"]
    assert events[0]["before"] == {"name": "d"}
    assert events[0]["after"] == {"name": "e"}
    assert events[0]["actor"] == "key:checkout"


@pytest.mark.parametrize("view", ["metrics", "events"])
@pytest.mark.parametrize("before", ["x", "%00", "2026-13-01.0", "2026-03-01", "1' OR '1'='1", "2026-W01-1.x", ""])
def test_history__cursor_not_ours__answers_400(api: Api, view: str, before: str) -> None:
    make_experiment()

    problem_of(api.get(f"{HERE}/{view}?before={before}"), 400, "invalid_query")


@pytest.mark.parametrize("view", ["metrics", "events"])
def test_history__unknown_experiment__is_404(api: Api, view: str) -> None:
    problem_of(api.get(f"/catalog/experiments/ghost/{view}"), 404, "not_found")
