"""Schedule and ramp over the API: written strictly, read in both clocks, moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from catalog_experiments.models import Experiment, RampState
from tests.builders import make_experiment
from tests.catalog_experiments.acting import publish
from tests.catalog_experiments.api.conftest import Api, fields_of, json_of, problem_of

PATH = "/catalog/experiments/cup-saucer"
PLAN: list[dict[str, Any]] = [{"coverage": 500, "minimum_sample": 1200}, {"coverage": 10_000}]


def test_put__schedule_and_ramp__come_back_in_utc_and_by_the_shops_clock(api: Api) -> None:
    make_experiment()
    body = {
        "scheduled_start_at": "2099-07-01T14:00:00+02:00",
        "scheduled_end_at": "2099-08-01T12:00:00Z",
        "ramp_plan": PLAN,
        "stop_at_planned_sample": True,
        "planned_sample_size": 4000,
    }

    with override_settings(CATALOG_SHOP_TIME_ZONE="Europe/Berlin"):
        answer = json_of(api.put(PATH, body))

    assert answer["scheduled_start_at"] == "2099-07-01T12:00:00Z"
    assert answer["scheduled_local"] == {
        "time_zone": "Europe/Berlin",
        "start": "2099-07-01T14:00:00+02:00",
        "end": "2099-08-01T14:00:00+02:00",
    }
    assert answer["stop_at_planned_sample"] is True
    assert answer["ramp_plan"][0] == {
        "coverage": 500,
        "minimum_hours": 24,
        "minimum_sample": 1200,
        "on_guardrail": "roll_back",
        "on_sample_ratio": "hold",
        "on_hold": "hold",
    }
    assert answer["ramp"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scheduled_start_at": "2099-07-01T14:00:00"}, "scheduled_start_at"),
        ({"scheduled_start_at": "2001-07-01T14:00:00Z"}, "scheduled_start_at"),
        ({"scheduled_end_at": 17}, "scheduled_end_at"),
        (
            {"scheduled_start_at": "2099-07-02T00:00:00Z", "scheduled_end_at": "2099-07-01T00:00:00Z"},
            "scheduled_end_at",
        ),
        ({"stop_at_planned_sample": 1}, "stop_at_planned_sample"),
        ({"ramp_plan": {}}, "ramp_plan"),
        ({"ramp_plan": [{"coverage": "5"}]}, "ramp_plan[0].coverage"),
        ({"ramp_plan": [{"coverage": 501}]}, "ramp_plan[0].coverage"),
        ({"ramp_plan": [{"coverage": 500, "speed": 2}]}, "ramp_plan[0].speed"),
        ({"ramp_plan": [{"coverage": 500, "on_hold": "wait"}]}, "ramp_plan[0].on_hold"),
        ({"ramp_plan": [{"coverage": 500}, {"coverage": 400}]}, "ramp_plan[1].coverage"),
    ],
)
def test_put__wrong_value__is_422_and_names_the_field(api: Api, body: dict[str, Any], field: str) -> None:
    make_experiment()

    problem = problem_of(api.put(PATH, body), 422, "invalid")

    assert field in {name for name, _ in fields_of(problem)}
    assert Experiment.objects.get().ramp_plan == []


def test_post__draft_with_ramp__is_created(api: Api) -> None:
    answer = api.post("/catalog/experiments", {"slug": "new", "name": "New", "ramp_plan": PLAN})

    assert answer.status_code == 201, answer.content
    assert [step["coverage"] for step in json_of(answer)["ramp_plan"]] == [500, 10_000]


def test_advance__climbing__raises_the_coverage_and_tells_where_it_stands(api: Api) -> None:
    publish(make_experiment(ramp_plan=[*PLAN[:1], {"coverage": 2500}, PLAN[1]]))

    answer = json_of(api.post(f"{PATH}/ramp/advance", {"reason": "campaign"}))

    assert answer["coverage"] == 2500
    assert (answer["ramp"]["state"], answer["ramp"]["step"], answer["ramp"]["of_steps"]) == ("climbing", 2, 3)
    assert answer["ramp"]["next_coverage"] == 10_000
    assert answer["ramp"]["not_before"] is not None


def test_advance__at_the_last_step__is_409(api: Api) -> None:
    publish(make_experiment(ramp_plan=PLAN[1:]))

    problem_of(api.post(f"{PATH}/ramp/advance", {}), 409, "ramp_refused")


def test_stop__with_a_reason__keeps_the_coverage_and_without_is_422(api: Api) -> None:
    publish(make_experiment(ramp_plan=PLAN))

    problem_of(api.post(f"{PATH}/ramp/stop", {}), 422, "reason_required")
    answer = json_of(api.post(f"{PATH}/ramp/stop", {"reason": "stock is short"}))

    assert (answer["ramp"]["state"], answer["coverage"]) == (RampState.STOPPED, 500)
    problem_of(api.post(f"{PATH}/ramp/stop", {"reason": "again"}), 409, "ramp_refused")


@pytest.mark.parametrize("verb", ["advance", "stop"])
def test_ramp_verbs__draft_stale_version_or_no_scope__are_refused(
    api: Api, api_with: Callable[..., Api], verb: str
) -> None:
    make_experiment(ramp_plan=PLAN)

    problem_of(api.post(f"{PATH}/ramp/{verb}", {"reason": "now"}), 409, "illegal_move")
    problem_of(api.post(f"{PATH}/ramp/{verb}", {"reason": "now"}, If_Match='"99-x"'), 412, "stale_version")
    assert api_with("read").post(f"{PATH}/ramp/{verb}", {"reason": "now"}).status_code == 403
