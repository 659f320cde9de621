"""Every call but exposures counts against the minute of its key, and every answer says what is left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments.models import CallCount
from tests.builders import NOON
from tests.catalog_experiments.api.conftest import Api, problem_of

LIST = "/catalog/experiments"


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """Stand still twenty seconds into a minute."""
    with time_machine.travel(NOON + dt.timedelta(seconds=20), tick=False) as clock:
        yield clock


@pytest.fixture
def limited(settings: Any) -> None:
    """Let a key call twice a minute."""
    settings.API_RATE_LIMIT = 2


@pytest.mark.parametrize(
    ("method", "path", "body", "statuses"),
    [
        ("GET", LIST, None, [200, 200]),
        ("POST", "/catalog/orders", {"orders": []}, [200, 200]),
        ("POST", "/orders/", {"orders": []}, [200, 200]),
        ("POST", "/catalog/aliases", {"aliases": []}, [200, 200]),
        ("POST", f"{LIST}/nothing/pause", {}, [404, 404]),
        ("GET", "/catalog/bundles/", None, [200, 200]),
        ("PUT", LIST, {}, [405, 405]),
    ],
)
@pytest.mark.usefixtures("limited")
def test_route__past_the_limit__is_429_with_the_seconds_to_wait(
    api: Api, method: str, path: str, body: object, statuses: list[int]
) -> None:
    answers = [api.call(method, path, body) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [*statuses, 429]
    assert [answer.headers["RateLimit"] for answer in answers] == [f'"default";r={left};t=40' for left in (1, 0, 0)]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"default";q=2;w=60'}
    assert ["Retry-After" in answer.headers for answer in answers] == [False, False, True]
    assert answers[2].headers["Retry-After"] == "40"
    problem_of(answers[2], 429, "too_many_requests")


@pytest.mark.usefixtures("limited")
def test_limit__reached_by_one_key__leaves_another_and_the_next_minute_free(
    api: Api, api_with: Callable[..., Api], clock: time_machine.Traveller
) -> None:
    other = api_with("read")
    spent = [api.get(LIST).status_code for _ in range(3)]

    assert (spent, other.get(LIST).status_code) == ([200, 200, 429], 200)
    clock.shift(40)
    assert api.get(LIST).status_code == 200


@pytest.mark.usefixtures("limited")
def test_call__without_a_valid_key__counts_for_its_address_alone(api: Api, nobody: Api) -> None:
    guesses = [Api(f"guess-{number}") for number in range(2)]

    statuses = [caller.get(LIST).status_code for caller in (nobody, *guesses)]

    assert (statuses, api.get(LIST).status_code) == ([401, 401, 429], 200)


@pytest.mark.usefixtures("limited")
def test_call__without_the_scope__counts_once(browser: Api) -> None:
    answers = [browser.get(LIST) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [403, 403, 429]
    assert answers[0].headers["RateLimit"] == '"default";r=1;t=40'


@pytest.mark.usefixtures("limited")
def test_exposures__are_left_to_the_limit_of_each_process(browser: Api) -> None:
    answers = [browser.post("/catalog/exposures", {"exposures": []}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].headers["RateLimit-Policy"] == '"default";q=60000;w=60'
    assert not CallCount.objects.exists()


def test_limit__of_zero__counts_nothing_and_says_nothing(api: Api, settings: Any) -> None:
    settings.API_RATE_LIMIT = 0

    assert "RateLimit" not in api.get(LIST).headers
    assert not CallCount.objects.exists()


def test_counting__a_call__takes_one_statement(api: Api, settings: Any) -> None:
    def statements(limit: int) -> int:
        settings.API_RATE_LIMIT = limit
        api.get(LIST)  # a key's use is noted at its first call of a minute
        with CaptureQueriesContext(connection) as queries:
            assert api.get(LIST).status_code == 200
        return len(queries)

    assert statements(1_000) == statements(0) + 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("limited")
def test_counting__that_fails__takes_no_shop_down(api: Api) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE catalog_api_call_counts RENAME TO away")
        try:
            answers = [api.get(LIST) for _ in range(3)]
        finally:
            cursor.execute("ALTER TABLE away RENAME TO catalog_api_call_counts")

    assert [answer.status_code for answer in answers] == [200] * 3
    assert "RateLimit" not in answers[0].headers


@pytest.mark.usefixtures("limited")
def test_admin__has_no_part_in_it(client: Any, db: None) -> None:
    statuses = {client.get("/admin/login/").status_code for _ in range(4)}

    assert statuses == {200}
    assert not CallCount.objects.exists()
