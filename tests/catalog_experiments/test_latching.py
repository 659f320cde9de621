"""What stands once a machine has paused: the record in force, the verdict in it, and what revisions make of it."""

from __future__ import annotations

import datetime as dt

import pytest

from catalog_experiments.aggregation import refresh_tallies
from catalog_experiments.enforcement import evaluate, report
from catalog_experiments.enforcement.evaluation import act
from catalog_experiments.enforcement.frame import load_frames
from catalog_experiments.enforcement.judgement import Judgement, judge_frame
from catalog_experiments.models import EvaluationAction, Experiment, GuardrailEvaluation
from notifications.models import Alert
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, cancel
from tests.catalog_experiments.test_enforcement import FIRST_HOUR, LATER, make_breaching

HOUR = dt.timedelta(hours=1)
pytestmark = pytest.mark.django_db


def stored(experiment: Experiment) -> Experiment:
    return Experiment.objects.select_related("current_phase").get(pk=experiment.pk)


def judged(experiment: Experiment) -> Judgement:
    """Judge on fresh numbers without acting, as an evaluator does that is then slow."""
    watermark_at = refresh_tallies([experiment.pk], now=LATER)
    return judge_frame(load_frames([experiment], watermark_at=watermark_at, now=LATER)[experiment.pk])


def paused_by_an_hour_block() -> tuple[Experiment, dt.datetime]:
    """Make an experiment that a fall of some hours paused, after days that were good; return when that was."""
    experiment, fell_at = make_running_experiment(), NOON + 132 * HOUR
    for hour in range(132):
        for key in ("control", "test"):
            add_buyers(experiment, key, 5, 1, at=NOON + hour * HOUR + dt.timedelta(minutes=10))
    for hour in range(5):
        for key, accepted in (("control", 14), ("test", 2)):
            add_buyers(experiment, key, 80, accepted, at=fell_at + hour * HOUR + dt.timedelta(minutes=10))
    paused_at = fell_at + 5 * HOUR + dt.timedelta(minutes=5)
    outcome = evaluate(experiment.pk, now=paused_at)
    assert outcome.paused
    assert outcome.evaluation is not None
    assert outcome.evaluation.verdicts[1]["evidence"][0]["span"]["kind"] == "hour"
    return stored(experiment), paused_at


def test_report__hours_pass_and_nothing_is_revised__it_still_crosses() -> None:
    experiment, paused_at = paused_by_an_hour_block()

    later = [report(experiment, now=paused_at + hours * HOUR) for hours in (1, 4, 20, 60)]

    assert {(found.is_latched, found.would_no_longer_cross) for found in later} == {(True, False)}


def test_report__good_orders_of_later_hours__are_no_revision() -> None:
    experiment = make_breaching()
    evaluate(experiment.pk, now=LATER)
    add_buyers(experiment, "test", 500, 500, at=LATER + HOUR)
    refresh_tallies([experiment.pk], now=LATER + 3 * HOUR)

    found = report(stored(experiment), now=LATER + 3 * HOUR)

    assert (found.is_latched, found.would_no_longer_cross) == (True, False)


@pytest.mark.parametrize(("cancelled", "no_longer"), [(16, False), (287, True)])
def test_report__refusals_cancelled_afterwards__says_whether_the_evidence_is_gone(
    cancelled: int, no_longer: bool
) -> None:
    experiment = make_running_experiment()
    add_buyers(experiment, "control", 300, 60, at=FIRST_HOUR)
    orders = add_buyers(experiment, "test", 300, 13, at=FIRST_HOUR)
    evaluate(experiment.pk, now=LATER)
    cancel(orders[13 : 13 + cancelled], at=LATER + HOUR)
    refresh_tallies([experiment.pk], now=LATER + 2 * HOUR)

    found = report(stored(experiment), now=LATER + 2 * HOUR)

    assert (found.is_latched, found.would_no_longer_cross) == (True, no_longer)


def test_act__on_other_data_after_the_pause__superseded_and_the_pause_stays_in_force() -> None:
    experiment = make_breaching()
    first = judged(experiment)
    add_buyers(experiment, "test", 5, 1, at=FIRST_HOUR)
    second = judged(experiment)

    assert act(first, now=LATER, trigger="one").paused
    assert act(second, now=LATER, trigger="two").superseded

    assert GuardrailEvaluation.objects.latest("sequence").action == EvaluationAction.SUPERSEDED
    phase_id = experiment.current_phase_id
    assert GuardrailEvaluation.objects.newest_of([phase_id])[phase_id].action == EvaluationAction.PAUSED
    assert report(stored(experiment), now=LATER).is_latched


def test_evaluate__condition_first_seen_by_a_superseded_round__is_told_by_the_next_one() -> None:
    experiment = make_running_experiment()
    for key in ("control", "test"):
        add_buyers(experiment, key, 400, 20, at=FIRST_HOUR)
    too_late = judged(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(lock_version=experiment.lock_version + 1)

    assert act(too_late, now=LATER, trigger="one").superseded
    assert Alert.objects.count() == 0

    evaluate(experiment.pk, now=LATER)

    assert "guardrail_bound_unfit" in Alert.objects.values_list("kind", flat=True)


@pytest.mark.django_db(transaction=True)
def test_evaluate__recorded__the_same_record_is_in_the_log_the_alert_and_the_report(
    caplog: pytest.LogCaptureFixture,
) -> None:
    experiment = make_breaching()

    with caplog.at_level("INFO", logger="catalog_experiments.enforcement.records"):
        record = evaluate(experiment.pk, now=LATER).evaluation

    assert record is not None
    [line] = [line for line in caplog.records if line.name.endswith("enforcement.records")]
    assert line.getMessage() == "evaluation 1 of cup-saucer: breached, action paused"
    hashes = {vars(line)["record_hash"], Alert.objects.get().facts["data"]["record_hash"]}
    found = report(stored(experiment), now=LATER).record
    assert found is not None
    assert hashes == {record.record_hash} == {found.record_hash}
