"""The page behind the links of Slack and email: why it was paused, what the next day would bring, and the choices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client

from catalog_experiments.admin.evidence_chart import evidence_chart
from catalog_experiments.enforcement import PathPoint, evaluate, explain, explanation
from catalog_experiments.guardrails.outlook import next_day
from catalog_experiments.models import Experiment, GuardrailEvaluation
from notifications.models import Alert
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors

PAGE = "/admin/merchandising/bundles/cup-saucer/pauses/{}"
HOUR = dt.timedelta(hours=1)

ClientAs = Callable[[str], Client]


def paused_after_three_looks() -> Experiment:
    """Make an experiment whose test offer is left more and more often, judged each hour until it is paused."""
    experiment = make_running_experiment()
    for number, (buyers, accepted) in enumerate([(100, 9), (100, 5), (150, 3)], start=1):
        at = NOON + number * HOUR - dt.timedelta(minutes=30)
        add_buyers(experiment, "control", buyers, buyers // 5, at=at)
        add_buyers(experiment, "test", buyers, accepted, at=at)
        evaluate(experiment.pk, now=NOON + number * HOUR + dt.timedelta(minutes=5))
    experiment.refresh_from_db()
    return experiment


@pytest.mark.django_db
def test_explain__paused__holds_the_bound_the_path_and_the_control() -> None:
    experiment = paused_after_three_looks()
    record = GuardrailEvaluation.objects.get(action="paused")

    found = explain(record)

    assert experiment.status == "paused"
    assert found is not None
    assert (found.stopped.variant_key, found.evidence.bound) == ("test", "min_acceptance_rate")
    assert [(point.sample, point.accepted) for point in found.path] == [(100, 9), (200, 14), (350, 17)]
    assert found.path[-1].log_e == found.evidence.log_e
    assert found.control is not None
    assert (found.control.sample, found.control.accepted) == (350, 70)


@pytest.mark.django_db
def test_explain__more_records_than_are_drawn__each_hours_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    paused_after_three_looks()
    record = GuardrailEvaluation.objects.get(action="paused")
    monkeypatch.setattr(explanation, "MOST_RECORDS", 2)

    found = explain(record)

    assert found is not None
    assert [point.sample for point in found.path] == [100, 200, 350]


@pytest.mark.django_db
def test_explain__record_that_stopped_nothing__is_none() -> None:
    paused_after_three_looks()
    first = GuardrailEvaluation.objects.earliest("sequence")

    assert (first.action, explain(first)) == ("none", None)


@pytest.mark.django_db
def test_next_day__all_buyers_of_a_visitor_count__scales_orders_and_takers_to_all_visitors() -> None:
    experiment = make_running_experiment()
    at = NOON + dt.timedelta(minutes=30)
    add_buyers(experiment, "control", 300, 60, at=at)
    add_visitors(experiment, "control", 700, at=at)
    add_buyers(experiment, "test", 300, 13, at=at)
    add_visitors(experiment, "test", 700, at=at)
    outcome = evaluate(experiment.pk, now=NOON + 24 * HOUR)
    assert outcome.evaluation is not None

    control, test = next_day(outcome.evaluation.inputs)

    assert (round(control.visitors), round(control.orders), round(control.takers or 0)) == (2000, 600, 120)
    assert (round(test.visitors), round(test.orders), round(test.takers or 0)) == (2000, 600, 26)


@pytest.mark.django_db
def test_page__paused__answers_with_numbers_table_and_choices(client_as: ClientAs) -> None:
    paused_after_three_looks()
    record = GuardrailEvaluation.objects.get(action="paused")

    answer = client_as("approver").get(PAGE.format(record.sequence))

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "Too few shoppers took the test offer" in text
    assert "17 of 350 orders" in text
    assert "Show as table" in text
    assert "An estimate, not a promise" in text
    assert f"{PAGE.format('').removesuffix('/pauses/')}/resume" in text
    assert f"{PAGE.format('').removesuffix('/pauses/')}/complete" in text


@pytest.mark.django_db
def test_alert__of_a_pause__links_to_the_page() -> None:
    paused_after_three_looks()
    record = GuardrailEvaluation.objects.get(action="paused")

    links = {link["label"]: link["url"] for link in Alert.objects.get().facts["links"]}

    assert links["Read why and decide"].endswith(PAGE.format(record.sequence))


@pytest.mark.django_db
def test_acknowledge__twice__keeps_the_first_name(client_as: ClientAs) -> None:
    paused_after_three_looks()
    address = PAGE.format(GuardrailEvaluation.objects.get(action="paused").sequence)
    merchandiser, viewer = client_as("merchandiser"), client_as("viewer")

    first = merchandiser.post(f"{address}/acknowledge")
    viewer.post(f"{address}/acknowledge")

    assert first.status_code == 302
    assert Alert.objects.get().acknowledged_by == "user:a-merchandiser"
    assert "Acknowledged by a-merchandiser" in viewer.get(address).content.decode()


@pytest.mark.django_db
def test_page__record_that_paused_nothing__is_not_found(client_as: ClientAs) -> None:
    paused_after_three_looks()

    assert client_as("viewer").get(PAGE.format(1)).status_code == 404


@pytest.mark.django_db
def test_page__phase_is_over__offers_nothing_to_decide(client_as: ClientAs) -> None:
    experiment = paused_after_three_looks()
    record = GuardrailEvaluation.objects.get(action="paused")
    Experiment.objects.filter(pk=experiment.pk).update(status="completed")

    text = client_as("approver").get(PAGE.format(record.sequence)).content.decode()

    assert "Nothing to decide here: the experiment is completed." in text


def test_evidence_chart__path_over_two_days__places_line_ticks_and_end() -> None:
    path = [
        PathPoint(NOON, 0.0, 10, 1, "collecting"),
        PathPoint(NOON + 24 * HOUR, 2.302585093, 300, 20, "watch"),
        PathPoint(NOON + 48 * HOUR, 4.605170186, 600, 30, "breached"),
    ]

    chart = evidence_chart(path, pause_line=10.0)

    assert chart is not None
    assert chart.points == "0.0,100.0 50.0,50.0 100.0,0.0"
    assert (chart.line, chart.collecting, chart.last_x, chart.last_y) == (50.0, 50.0, 100.0, 0.0)
    assert [tick.label for tick in chart.decades] == ["1×", "10×", "100×"]
    assert [tick.label for tick in chart.days] == ["3 Mar", "4 Mar"]


def test_evidence_chart__one_point_or_no_evidence__is_none() -> None:
    assert evidence_chart([PathPoint(NOON, 1.0, 10, 1, "watch")], 20.0) is None
    assert evidence_chart([PathPoint(NOON, None, 10, 1, "watch")] * 3, 20.0) is None
