"""The page behind the links of Slack and email: why it was paused, what the next day would bring, and the choices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from itertools import product

import pytest
from django.test import Client

from catalog_experiments.admin.evidence_chart import drop_chart, evidence_chart
from catalog_experiments.aggregation import aggregate_experiments
from catalog_experiments.enforcement import PathPoint, evaluate, explain, explanation
from catalog_experiments.guardrails.outlook import next_day
from catalog_experiments.models import Experiment, GuardrailEvaluation
from catalog_experiments.phrasing import contrast_text
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
def test_explain__fell_after_good_days__next_day_is_told_at_the_rate_of_the_fall() -> None:
    experiment = make_running_experiment()
    for hour in range(48):
        for key in ("control", "test"):
            add_buyers(experiment, key, 20, 4, at=NOON + (hour + 0.5) * HOUR)
    for hour in range(48, 53):
        add_buyers(experiment, "control", 50, 10, at=NOON + (hour + 0.5) * HOUR)
        add_buyers(experiment, "test", 50, 0, at=NOON + (hour + 0.5) * HOUR)
    record = evaluate(experiment.pk, now=NOON + 53 * HOUR).evaluation
    assert record is not None

    found = explain(record)

    assert found is not None
    assert found.evidence.estimate is not None
    control, test = found.outlook
    assert found.evidence.estimate > 0.15, "since the phase began hardly anything has happened"
    assert round(test.orders) == round(control.orders) > 0
    assert (test.takers, round((control.takers or 0) / control.orders, 2)) == (0, 0.2)


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
def test_page__paused_for_a_drop_in_revenue__tells_money_and_no_acceptance(client_as: ClientAs) -> None:
    config = {"max_drop_vs_control": 0.1, "drop_metric": "revenue"}
    experiment = make_running_experiment(guardrail_config=config)
    for key, buyers in (("control", 600), ("test", 300)):
        add_buyers(experiment, key, buyers, 120, at=NOON + dt.timedelta(minutes=10))
        add_visitors(experiment, key, 2_000 - buyers, at=NOON + dt.timedelta(minutes=10))
    mature = NOON + 50 * HOUR
    aggregate_experiments([experiment.pk], now=mature)
    record = evaluate(experiment.pk, now=mature).evaluation
    assert record is not None

    pause = " ".join(client_as("viewer").get(PAGE.format(record.sequence)).content.decode().split())
    page = client_as("operator").get(PAGE.format("").removesuffix("/pauses/")).content.decode()

    assert "Shoppers spend less with the test offer" in pause
    assert "test: revenue per visitor is down by more than 10.00 % against control" in pause
    assert "−3.89 EUR" in pause, "300 of 2,000 spend 32.40 EUR, in the control 600 of 2,000: 4.86 less 0.9 times 9.72"
    assert "Control, same time" not in pause
    assert "the contrast with control is at most −" in page
    assert "pauses below 0 EUR" in page


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
    assert [tick.label for tick in chart.levels] == ["1×", "10×", "100×"]
    assert [tick.label for tick in chart.days] == ["3 Mar", "4 Mar"]


def test_evidence_chart__one_point_or_no_evidence__is_none() -> None:
    assert evidence_chart([PathPoint(NOON, 1.0, 10, 1, "watch")], 20.0) is None
    assert evidence_chart([PathPoint(NOON, None, 10, 1, "watch")] * 3, 20.0) is None


def test_drop_chart__limits_falling_below_zero__places_steps_zero_and_end() -> None:
    limits = [None, 0.0423, 0.01, -0.0077]
    path = [PathPoint(NOON + day * 24 * HOUR, None, 0, 0, "watch", limit) for day, limit in enumerate(limits)]

    chart = drop_chart(path, 100)

    assert chart is not None
    assert [tick.label for tick in chart.levels] == ["−1", "0", "+1", "+2", "+3", "+4", "+5"]
    assert chart.points == "0.0,12.83 50.0,66.67 100.0,96.17"
    assert (chart.line, chart.last_x, chart.last_y, chart.collecting) == (83.33, 100.0, 96.17, 0.0)


@pytest.mark.parametrize(
    ("limits", "labels"),
    [
        ([-0.001, -0.002], ["−0.20", "−0.15", "−0.10", "−0.05", "0.00"]),
        ([4.0, 12.5], ["0", "+500", "+1,000", "+1,500"]),
        ([0.0, 0.0], ["0.0000000", "+0.0000002"]),
    ],
)
def test_drop_chart__any_size__has_zero_and_round_steps(limits: list[float], labels: list[str]) -> None:
    path = [PathPoint(NOON + day * 24 * HOUR, None, 0, 0, "watch", limit) for day, limit in enumerate(limits)]

    chart = drop_chart(path, 100)

    assert chart is not None
    assert [tick.label for tick in chart.levels] == labels


def test_drop_chart__known_once__is_none() -> None:
    assert (
        drop_chart([PathPoint(NOON, None, 0, 0, "watch", None), PathPoint(NOON, None, 0, 0, "watch", 0.1)], 1) is None
    )


@pytest.mark.django_db
def test_page__paused_for_a_drop_after_days__draws_how_the_sequence_fell(client_as: ClientAs) -> None:
    experiment = make_running_experiment(guardrail_config={"max_drop_vs_control": 0.1})
    for day in range(5):
        for hour, (key, buyers) in product(range(0, 24, 2), (("control", 8), ("test", 5))):
            at = NOON + (24 * day + hour) * HOUR
            add_buyers(experiment, key, buyers, buyers // 2, at=at)
            add_visitors(experiment, key, 60 - buyers, at=at)
        now = NOON + (day + 1) * 24 * HOUR
        aggregate_experiments([experiment.pk], now=now)
        evaluate(experiment.pk, now=now)
    record = GuardrailEvaluation.objects.get(action="paused")
    found = explain(record)

    page = " ".join(client_as("viewer").get(PAGE.format(record.sequence)).content.decode().split())

    assert found is not None
    limits = [point.limit for point in found.path if point.limit is not None]
    assert len(limits) > 1
    assert limits[-1] == found.evidence.limit
    assert limits == sorted(limits, reverse=True)
    assert "How the drop became certain" in page
    assert "90 % of the control" in page
    assert f"fell to {contrast_text(limits[-1])}; the pause line is 0." in page
    assert page.count(f'<td class="cc-n">{contrast_text(limits[0])}</td>') == 1
    assert "How the evidence grew" not in page
