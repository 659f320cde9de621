"""The backtest page: prefilled, seen by viewers, answers in sentences, tables and a chart; wrong fields are named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.builders import make_experiment
from tests.catalog_experiments.backtest.records import make_experiment_with_past

HERE = "/admin/merchandising/bundles/cup-saucer/guardrail-backtest"
ClientAs = Callable[[str], Client]


def shown(client: Client, query: str = "?phase_days=2") -> str:
    response = client.get(HERE + query)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("role", ["viewer", "merchandiser", "operator"])
def test_page__any_role__shows_the_experiments_own_guardrails_tried_out(client_as: ClientAs, role: str) -> None:
    make_experiment_with_past(now=timezone.now())

    page = shown(client_as(role))

    assert 'name="min_acceptance_percent" value="8.0"' in page
    assert "Of 1 past phase it would have paused 1" in page
    assert "test (cup-saucer-test)" in page
    assert "before its real end" in page


def test_page__enough_history__draws_the_chart_with_its_table(client_as: ClientAs) -> None:
    make_experiment_with_past(now=timezone.now())

    page = shown(client_as("viewer"))

    assert 'class="cc-spark cc-ladder"' in page
    assert "False pauses by least acceptance" in page
    assert page.count('<th scope="row">') > 20
    assert "cc-suggested" in page


def test_page__other_guardrails__are_tried_out_and_stay_in_the_form(client_as: ClientAs) -> None:
    make_experiment_with_past(now=timezone.now())

    page = shown(client_as("viewer"), "?min_acceptance_percent=20&max_acceptance_percent=&phase_days=2")

    assert 'name="min_acceptance_percent" value="20"' in page
    assert "Guardrail stuck" in page
    assert "8 %" not in page.split("Try other guardrails")[0].split("Result")[1].split("Past phases")[0][:120]


def test_page__draft_form_posted__tries_out_what_is_not_saved_yet(client_as: ClientAs) -> None:
    experiment = make_experiment_with_past(now=timezone.now())
    typed = {"slug": "cup-saucer", "min_acceptance_percent": "3.5", "alpha": "", "phase_days": "2", "name": "Other"}

    response = client_as("merchandiser").post(HERE, typed)

    experiment.refresh_from_db()
    assert response.status_code == 200
    assert "least acceptance 3.5\u00a0%" in response.content.decode()
    assert (experiment.name, experiment.guardrail_config) == ("Cup and saucer", {"min_acceptance_rate": 0.08})


def test_page__no_history__says_what_is_missing(client_as: ClientAs) -> None:
    make_experiment()

    page = shown(client_as("viewer"))

    assert "Too little history" in page
    assert "cc-ladder" not in page


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?min_acceptance_percent=abc", "Enter a number."),
        ("?min_acceptance_percent=50&max_acceptance_percent=20", "must lie below max_acceptance_rate"),
        ("?phase_days=900", "less than or equal to 56"),
        ("?alpha=0.5", "above 0 and below 0.5"),
    ],
)
def test_page__wrong_field__is_named_beside_it(client_as: ClientAs, query: str, message: str) -> None:
    make_experiment()

    response = client_as("viewer").get(HERE + query)

    assert response.status_code == 422
    assert message in response.content.decode()


def test_page__stored_guardrails_broken__starts_blank(client_as: ClientAs) -> None:
    make_experiment(guardrail_config={"floor": 1})

    assert "no bound" in shown(client_as("viewer"))


def test_page__unknown_experiment_or_no_permission__is_refused(client_as: ClientAs) -> None:
    assert client_as("viewer").get(HERE).status_code == 404

    make_experiment()
    assert Client().get(HERE).status_code == 302


@pytest.mark.parametrize("path", ["", "/edit"])
def test_links__experiment_page_and_draft_form__lead_to_it(client_as: ClientAs, path: str) -> None:
    make_experiment()

    page = client_as("merchandiser").get(f"/admin/merchandising/bundles/cup-saucer{path}").content.decode()

    assert HERE in page


def test_page__query_count__is_constant(
    client_as: ClientAs, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_experiment_with_past(now=timezone.now())
    client = client_as("viewer")

    with django_assert_max_num_queries(15):
        shown(client)
