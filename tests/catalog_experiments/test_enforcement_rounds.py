"""Rounds over many experiments: few statements, no verdict twice, nothing old judged, and a chain with an end."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

from catalog_experiments.aggregation import aggregate_experiments, refresh_tallies
from catalog_experiments.enforcement import evaluate, evaluate_due, rounds, verify_chain
from catalog_experiments.enforcement import evaluation as acting
from catalog_experiments.enforcement.failures import clear_failures
from catalog_experiments.enforcement.frame import load_frames
from catalog_experiments.enforcement.records import append_records, hash_of
from catalog_experiments.guardrails import Verdict
from catalog_experiments.models import (
    Bundle,
    EvaluationAction,
    EvaluationHead,
    Experiment,
    ExperimentEvent,
    GuardrailEvaluation,
    PauseCause,
)
from notifications.models import Alert
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors
from tests.catalog_experiments.test_enforcement import (
    FIRST_HOUR,
    LATER,
    SECOND_HOUR,
    closing,
    forge,
    make_breaching,
    make_healthy,
    run_in_threads,
)


def statements_of_a_round(count: int) -> int:
    """Return the statements of a round in which every one of so many healthy experiments has news."""
    experiments = [make_healthy(slug=f"{count}-{number}") for number in range(count)]
    evaluate_due(now=LATER)
    for experiment in experiments:
        add_buyers(experiment, "test", 10, 2, at=SECOND_HOUR)
    with CaptureQueriesContext(connection) as captured:
        result = evaluate_due(now=LATER)
    assert result.evaluated == Experiment.objects.running().count()
    return len(captured)


@pytest.mark.django_db
def test_evaluate_due__news_of_all_and_none_breached__constant_number_of_statements() -> None:
    few = statements_of_a_round(2)
    many = statements_of_a_round(9)

    assert many == few
    assert verify_chain().first_difference is None


@pytest.mark.django_db
def test_evaluate_due__more_than_a_slice__each_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SLICE", 2)
    for number in range(5):
        make_healthy(slug=f"e{number}")

    evaluate_due(now=LATER)

    assert GuardrailEvaluation.objects.values("phase").distinct().count() == 5
    assert verify_chain().checked == 5


@pytest.mark.django_db
def test_evaluate_due__slice_fails__each_is_recorded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        make_healthy(slug=f"e{number}")

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise DatabaseError("the slice cannot be written")

    monkeypatch.setattr(rounds, "record_quiet", failing)

    result = evaluate_due(now=LATER)

    assert (result.evaluated, result.errors) == (3, ())
    assert GuardrailEvaluation.objects.count() == 3


@pytest.mark.django_db
def test_evaluate_due__quiet_one_edited_meanwhile__recorded_as_superseded(monkeypatch: pytest.MonkeyPatch) -> None:
    edited, other = make_healthy(slug="edited"), make_healthy(slug="other")

    def edited_after_reading(*args: Any, **kwargs: Any) -> Any:
        frames = load_frames(*args, **kwargs)
        Experiment.objects.filter(pk=edited.pk).update(lock_version=F("lock_version") + 1)
        return frames

    monkeypatch.setattr(rounds, "load_frames", edited_after_reading)

    evaluate_due(now=LATER)

    actions = dict(GuardrailEvaluation.objects.values_list("experiment__slug", "action"))
    assert actions == {"edited": EvaluationAction.SUPERSEDED, other.slug: EvaluationAction.NONE}


@pytest.mark.django_db
def test_evaluate_due__sold_out_and_breached__stock_pauses_first_and_breach_is_not_judged() -> None:
    experiment = make_breaching()
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(stock_state="out_of_stock")

    result = evaluate_due(now=LATER)

    experiment.refresh_from_db()
    assert experiment.pause_cause == PauseCause.STOCK
    assert (result.evaluated, result.paused, result.alerts) == (0, 1, 1)


@pytest.mark.django_db
def test_evaluate_due__round_takes_longer_than_data_stays_fresh__breach_is_judged_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = make_breaching()
    asked = list[dt.datetime]()

    def evaluate_and_note(*args: Any, now: dt.datetime, **kwargs: Any) -> Any:
        asked.append(now)
        return evaluate(*args, now=now, **kwargs)

    monkeypatch.setattr(rounds, "FRESH", dt.timedelta(0))
    monkeypatch.setattr(rounds, "evaluate", evaluate_and_note)

    evaluate_due(now=LATER)

    experiment.refresh_from_db()
    assert len(asked) == 1
    assert LATER < asked[0] < LATER + dt.timedelta(minutes=1)
    assert experiment.pause_cause == PauseCause.BREACHED


@pytest.mark.django_db
@pytest.mark.parametrize(("lag_seconds", "is_held"), [(60, False), (61, True)])
def test_evaluate__newest_facts_cannot_be_read__no_ordinary_pause(
    lag_seconds: int, is_held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_breaching()

    def lagging(ids: Any, *, now: dt.datetime) -> dt.datetime:
        return refresh_tallies(ids, now=now) - dt.timedelta(seconds=lag_seconds)

    with monkeypatch.context() as patched:
        patched.setattr(acting, "refresh_tallies", lagging)
        held = evaluate(experiment.pk, now=LATER)
    caught_up = evaluate(experiment.pk, now=LATER)

    assert held.paused is not is_held
    assert held.evaluation is not None
    assert ("reading_stale" in held.evaluation.inputs["holds"]) is is_held
    assert caught_up.paused is is_held
    assert [alert.kind for alert in Alert.objects.all()] == ["guardrail_breached"]


@pytest.mark.django_db
def test_evaluate__newest_facts_cannot_be_read__outage_stays_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running_experiment()
    add_buyers(experiment, "control", 100, 20, at=FIRST_HOUR)
    add_buyers(experiment, "test", 100, 0, at=FIRST_HOUR)
    monkeypatch.setattr(
        acting, "refresh_tallies", lambda ids, *, now: refresh_tallies(ids, now=now) - dt.timedelta(minutes=5)
    )

    evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert experiment.pause_cause == PauseCause.OUTAGE


@pytest.mark.django_db(transaction=True)
def test_evaluate__unchanged_data_a_hundred_times_by_two_workers__one_verdict_one_pause_one_alert() -> None:
    breaching, healthy = make_breaching(slug="breaching"), make_healthy(slug="healthy")
    errors = list[Exception]()

    def fifty_times() -> None:
        try:
            for _ in range(25):
                evaluate_due(now=LATER)
                evaluate(healthy.pk, now=LATER)
        except Exception as error:  # told by the test, not by a thread
            errors.append(error)

    run_in_threads(2, fifty_times)

    breaching.refresh_from_db()
    assert errors == []
    assert breaching.pause_cause == PauseCause.BREACHED
    recorded = GuardrailEvaluation.objects.values_list("experiment__slug", "verdict", "action")
    assert sorted(recorded) == [("breaching", "breached", "paused"), ("healthy", "healthy", "none")]
    assert ExperimentEvent.objects.filter(action="pause").count() == Alert.objects.count() == 1
    assert verify_chain().first_difference is None


@pytest.mark.django_db(transaction=True)
def test_evaluate_due__fresh_experiment_for_48_hours__neither_pause_nor_alert() -> None:
    experiment = make_running_experiment(sample_size_guardrail=250)
    verdicts = set[str]()

    # A slow start, as after a publish: at first nobody, then a few orders an hour at the bound's own rate.
    for minutes in range(0, 48 * 60 + 1, 30):
        now = NOON + dt.timedelta(minutes=minutes)
        if minutes and minutes % 60 == 0:
            hour = minutes // 60
            for key in ("control", "test"):
                add_visitors(experiment, key, 8, at=now - dt.timedelta(minutes=30))
                add_buyers(experiment, key, 5, int(hour % 2 == 0), at=now - dt.timedelta(minutes=30))
        result = evaluate_due(now=now)
        assert (result.paused, result.alerts, result.errors) == (0, 0, ())
        verdicts |= set(GuardrailEvaluation.objects.values_list("verdict", flat=True))

    experiment.refresh_from_db()
    assert experiment.is_running
    assert verdicts == {Verdict.COLLECTING}
    assert Alert.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(("metric", "is_paused"), [("conversion", True), ("take_rate", False), ("revenue", True)])
def test_evaluate__drop_against_control__judged_on_the_metric_that_was_chosen(metric: str, is_paused: bool) -> None:
    # Half as many buy in the test; of all visitors as many take the bundle as in the control.
    experiment = make_running_experiment(guardrail_config={"max_drop_vs_control": 0.1, "drop_metric": metric})
    for key, buyers in (("control", 600), ("test", 300)):
        add_buyers(experiment, key, buyers, 120, at=FIRST_HOUR)
        add_visitors(experiment, key, 2_000 - buyers, at=FIRST_HOUR)
    mature = NOON + dt.timedelta(days=2, hours=2)
    aggregate_experiments([experiment.pk], now=mature)

    outcome = evaluate(experiment.pk, now=mature)

    assert outcome.evaluation is not None
    [bound] = [own for own in outcome.evaluation.verdicts[1]["evidence"] if own["bound"] == "max_drop_vs_control"]
    assert (outcome.paused, bound["is_crossed"]) == (is_paused, is_paused)
    assert bound["estimate"] is not None
    payers = outcome.evaluation.inputs["observations"][1]["harm_payers"]
    assert payers == (300 if metric == "revenue" else None)
    experiment.refresh_from_db()
    named = {"conversion": "test: conversion is down", "revenue": "test: revenue per visitor is down", "take_rate": ""}
    assert experiment.pause_reason.startswith(named[metric])


@pytest.mark.django_db
def test_evaluate__persistent__pauses_on_batches_whatever_the_control_does_and_keeps_the_reason() -> None:
    rules = {"min_acceptance_rate": 0.1, "pause_rule": "persistent", "pause_rule_reason": "As in the old shop"}
    experiment = make_running_experiment(guardrail_config=rules)
    for hour in range(4):
        for key in ("control", "test"):
            add_buyers(experiment, key, 75, 7, at=FIRST_HOUR + dt.timedelta(hours=hour))

    outcome = evaluate(experiment.pk, now=LATER)

    assert outcome.paused
    assert outcome.evaluation is not None
    assert outcome.evaluation.inputs["frame"]["config"]["pause_rule_reason"] == "As in the old shop"
    assert outcome.evaluation.verdicts[1]["evidence"][0]["batches"] == [[75, 7]] * 3
    assert verify_chain().first_difference is None


@pytest.mark.django_db
def test_evaluate__drop_against_control__waits_until_units_are_25_hours_old() -> None:
    experiment = make_running_experiment(guardrail_config={"max_drop_vs_control": 0.1})
    for key, buyers in (("control", 600), ("test", 300)):
        add_buyers(experiment, key, buyers, 120, at=FIRST_HOUR)
        add_visitors(experiment, key, 2_000 - buyers, at=FIRST_HOUR)
    young = NOON + dt.timedelta(hours=24)
    aggregate_experiments([experiment.pk], now=young)

    outcome = evaluate(experiment.pk, now=young)

    assert not outcome.paused
    assert outcome.evaluation is not None
    assert outcome.evaluation.inputs["observations"][1]["harm"]["n"] == 0


@pytest.mark.django_db
def test_evaluate__failure_of_another_round_noted_meanwhile__nothing_of_the_metadata_is_lost() -> None:
    experiment = make_healthy()
    Experiment.objects.filter(pk=experiment.pk).update(metadata={"evaluation_failures": 2})
    seen = Experiment.objects.get(pk=experiment.pk)
    Experiment.objects.filter(pk=experiment.pk).update(metadata={"evaluation_failures": 2, "kept": "yes"})

    clear_failures(seen)

    assert Experiment.objects.get(pk=experiment.pk).metadata == {"kept": "yes"}


@pytest.fixture
def chain(db: None) -> list[GuardrailEvaluation]:
    experiment = make_running_experiment()
    for number in range(4):
        add_buyers(experiment, "test", 5, number % 2, at=SECOND_HOUR)
        evaluate(experiment.pk, now=LATER)
    return list(GuardrailEvaluation.objects.order_by("sequence"))


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DELETE FROM {table} WHERE sequence = 4", "record 4 is missing at the end of the chain, which went on to 4"),
        ("DELETE FROM {table} WHERE sequence > 1", "record 2 is missing at the end of the chain, which went on to 4"),
        ("DELETE FROM {table}", "record 1 is missing at the end of the chain, which went on to 4"),
    ],
)
def test_verify_chain__quiet_records_cut_off__the_first_missing_is_named(
    chain: list[GuardrailEvaluation], statement: str, named: str
) -> None:
    forge(statement)

    assert verify_chain().first_difference == named


def test_verify_chain__cut_off_and_gone_on__the_gap_stays(chain: list[GuardrailEvaluation]) -> None:
    forge("DELETE FROM {table} WHERE sequence = 4")
    add_buyers(chain[0].experiment, "test", 5, 1, at=SECOND_HOUR)

    evaluate(chain[0].experiment_id, now=LATER)

    difference = verify_chain().first_difference
    assert difference == "record 5: record 4 is missing before it"


def test_verify_chain__last_record_replaced_by_a_consistent_one__found_by_the_head(
    chain: list[GuardrailEvaluation],
) -> None:
    last = chain[-1]
    last.trigger = "forged"
    forge("UPDATE {table} SET trigger = 'forged', record_hash = %s WHERE sequence = 4", hash_of(last))

    difference = verify_chain().first_difference
    assert difference is not None
    assert difference.startswith("record 4: it is not the record with which the chain ended")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET action = 'none'",
        "DELETE FROM {table}",
        "UPDATE catalog_bundle_experiment_guardrail_head SET sequence = 1",
        "DELETE FROM catalog_bundle_experiment_guardrail_head",
    ],
)
def test_chain__changed_by_an_ordinary_session__refused_by_the_database(
    chain: list[GuardrailEvaluation], statement: str
) -> None:
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(statement.format(table=GuardrailEvaluation._meta.db_table))


def test_append_records__none__touches_nothing(chain: list[GuardrailEvaluation]) -> None:
    assert append_records([]) == []
    assert EvaluationHead.objects.get().sequence == 4


@pytest.mark.django_db(transaction=True)
def test_verify_chain__records_appended_meanwhile__no_difference() -> None:
    experiment = make_healthy()
    evaluate(experiment.pk, now=LATER)

    def append_another(done: int, total: int) -> None:
        if done == 1:
            add_buyers(experiment, "test", 10, 2, at=SECOND_HOUR)
            other = threading.Thread(target=closing(lambda: evaluate(experiment.pk, now=LATER)))
            other.start()
            other.join()

    result = verify_chain(progress=append_another)

    assert result.first_difference is None
    assert GuardrailEvaluation.objects.count() == 2
