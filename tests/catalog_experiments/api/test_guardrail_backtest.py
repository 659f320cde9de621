"""The guardrail backtest over HTTP: works for experiments, drafts and bundles, names wrong fields, stores nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.builders import make_bundle, make_experiment
from tests.catalog_experiments.api.conftest import Api, fields_of, json_of, problem_of
from tests.catalog_experiments.backtest.records import make_experiment_with_past

HERE = "/catalog/experiments/cup-saucer/guardrail-backtest"
QUICK = {"resamples": 5, "phase_days": 7}


def test_backtest__experiment_with_a_past__answers_with_pauses_and_stores_nothing(
    api: Api, fingerprint: Callable[[], str]
) -> None:
    make_experiment_with_past(now=timezone.now())
    before = fingerprint()

    response = api.post(HERE, QUICK)

    answer = json_of(response)
    assert response.status_code == 200
    [replay] = answer["replays"]
    [pause] = replay["would_pause"]
    assert (pause["variant_key"], pause["bound"], pause["verdict"]) == ("test", "min_acceptance_rate", "breached")
    assert pause["hours_earlier"] > 0
    assert answer["guardrail_config"] == {"min_acceptance_rate": 0.08}
    assert answer["sample_size_guardrail"] == 250
    assert answer["false_alarms"]["resamples"] == 5
    assert answer["suggestions"][0]["ladder"][0]["rate"] == 0
    assert answer["sentences"]
    assert fingerprint() == before


def test_backtest__other_guardrails__are_tried_out_instead(api: Api) -> None:
    make_experiment_with_past(now=timezone.now())
    body = {**QUICK, "guardrail_config": {"min_acceptance_rate": 0.2}, "sample_size_guardrail": 100}

    answer = json_of(api.post(HERE, body))

    assert answer["is_stuck"] is True
    assert answer["control_fit"][0]["crossed_at"] is not None
    assert answer["sample_size_guardrail"] == 100


def test_backtest__no_body__uses_the_experiments_own(api: Api) -> None:
    make_experiment()

    answer = json_of(api.post(HERE, {}))

    assert answer["guardrail_config"] == {"min_acceptance_rate": 0.1}
    assert answer["false_alarms"] is None
    assert answer["missing"] == "There is no full hour with orders of the control's offer yet."


def test_backtest__bundle_by_slug_or_id__is_answered(api: Api) -> None:
    bundle = make_bundle()

    for reference in (bundle.bundle_slug, str(bundle.pk)):
        answer = json_of(api.post(f"/catalog/bundles/{reference}/guardrail-backtest", {}))
        assert answer["slug"] == "cup-and-saucer"
        assert answer["replays"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"guardrail_config": {"min_acceptance_rate": 35}}, ("guardrail_config.min_acceptance_rate", "percent")),
        ({"guardrail_config": {"floor": 0.1}}, ("guardrail_config.floor", "unknown")),
        ({"guardrail_config": []}, ("guardrail_config", "not_a_dict")),
        ({"resamples": 1000}, ("resamples", "max_value")),
        ({"phase_days": 0}, ("phase_days", "min_value")),
        ({"wanted_rate": "0.1"}, ("wanted_rate", "invalid")),
        ({"wanted_rate": True}, ("wanted_rate", "invalid")),
        ({"lookback_days": 1.5}, ("lookback_days", "invalid")),
        ({"tresholds": {}}, ("tresholds", "unknown_field")),
    ],
)
def test_backtest__malformed__names_the_field(api: Api, body: dict[str, Any], field: tuple[str, str]) -> None:
    make_experiment()

    problem = problem_of(api.post(HERE, body), 422, "invalid")

    assert field in fields_of(problem)


def test_backtest__broken_json__is_400(api: Api) -> None:
    make_experiment()

    assert api.post(HERE, b"{").status_code == 400


def test_backtest__stored_guardrails_broken__says_so(api: Api) -> None:
    make_experiment(guardrail_config={"floor": 0.1})

    problem_of(api.post(HERE, {}), 409, "guardrails_invalid")


def test_backtest__unknown__is_404(api: Api) -> None:
    problem_of(api.post(HERE, {}), 404, "not_found")
    problem_of(api.post("/catalog/bundles/nothing/guardrail-backtest", {}), 404, "not_found")


@pytest.mark.parametrize("path", [HERE, "/catalog/bundles/cup-saucer-test/guardrail-backtest"])
def test_backtest__key_without_read__is_refused(
    api_with: Callable[..., Api], browser: Api, nobody: Api, path: str
) -> None:
    make_experiment()

    assert api_with("read").post(path, {}).status_code == 200
    problem_of(api_with("ingest").post(path, {}), 403, "permission_denied")
    problem_of(browser.post(path, {}), 403, "permission_denied")
    assert nobody.post(path, {}).status_code == 401


def test_backtest__query_count__is_constant(api: Api, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    make_experiment_with_past(now=timezone.now())

    with django_assert_max_num_queries(11):
        assert api.post(HERE, QUICK).status_code == 200
