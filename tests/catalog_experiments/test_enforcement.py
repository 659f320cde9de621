"""Verdicts become actions: one record per change of the data, one pause, one alert, all or nothing."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from catalog_experiments import lifecycle
from catalog_experiments.aggregation import refresh_tallies
from catalog_experiments.enforcement import (
    BundleExperimentGuardrailWorker,
    EvaluationOutcome,
    TickResult,
    evaluate,
    evaluate_due,
    report,
    verify_chain,
)
from catalog_experiments.enforcement import evaluation as acting
from catalog_experiments.enforcement.frame import load_frames
from catalog_experiments.guardrails import HourTally, Verdict, record_inputs
from catalog_experiments.models import (
    EvaluationAction,
    Experiment,
    ExperimentEvent,
    ExperimentStatus,
    GuardrailEvaluation,
    GuardrailTally,
    PauseCause,
    PhaseOrigin,
    PublishedDocument,
    VariantMetric,
)
from catalog_experiments.stats.blocks import BlockClock, merge_old_hours
from notifications.models import Alert, Delivery
from tests.builders import NOON, make_experiment, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors, cancel, change_phase, phase_of, replace_orders

LATER = NOON + dt.timedelta(hours=5, minutes=30)
FIRST_HOUR = NOON + dt.timedelta(minutes=10)
SECOND_HOUR = NOON + dt.timedelta(minutes=70)
SLACK = {"BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": "https://hooks.slack.example/services/T/B/x"}


def make_breaching(**overrides: Any) -> Experiment:
    """Make an experiment whose test variant clearly misses 10 %, with a control that meets it."""
    experiment = make_running_experiment(**overrides)
    add_buyers(experiment, "control", 300, 60, at=FIRST_HOUR)
    add_buyers(experiment, "test", 300, 13, at=FIRST_HOUR)
    return experiment


def make_healthy(**overrides: Any) -> Experiment:
    experiment = make_running_experiment(**overrides)
    for key in ("control", "test"):
        add_buyers(experiment, key, 300, 60, at=FIRST_HOUR)
    return experiment


def traces() -> dict[str, int]:
    models = (GuardrailEvaluation, ExperimentEvent, PublishedDocument, Alert, Delivery)
    return {model.__name__: model.objects.count() for model in models}


@pytest.mark.django_db
def test_evaluate__test_variant_breached__pauses_with_event_document_and_alert() -> None:
    experiment = make_breaching()

    with override_settings(**SLACK):
        outcome = evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert (outcome.paused, outcome.alerts, outcome.superseded) == (True, 1, False)
    assert experiment.status == ExperimentStatus.PAUSED
    assert experiment.pause_cause == PauseCause.BREACHED
    assert "13 of 300 orders took the bundle (4.33 %), below the limit of 10.00 %" in experiment.pause_reason
    assert outcome.evaluation is not None
    assert outcome.evaluation.action == EvaluationAction.PAUSED
    assert outcome.evaluation.verdict == Verdict.BREACHED
    event = ExperimentEvent.objects.get()
    assert (event.actor, event.action) == ("system:guardrails", "pause")
    entry = PublishedDocument.objects.latest("version").document["experiments"][0]
    assert entry["status"] == "paused"
    assert Delivery.objects.get().alert == Alert.objects.get()


@pytest.mark.django_db
def test_evaluate__breached__alert_holds_numbers_links_and_next_step() -> None:
    experiment = make_breaching()

    with override_settings(API_BASE_URL="https://shop.example"):
        outcome = evaluate(experiment.pk, now=LATER)

    alert = Alert.objects.get()
    lines = {line["label"]: line["value"] for line in alert.facts["lines"]}
    assert alert.kind == "guardrail_breached"
    assert alert.severity == "critical"
    assert lines["test: accepted"] == "13 of 300 orders"
    assert lines["test: least acceptance"] == "10.00 %"
    assert lines["control"] == "60 of 300 orders (20.00 %)"
    assert "pauses at 20×" in lines["test: evidence"]
    assert alert.facts["links"][1]["url"] == "https://shop.example/admin/merchandising/bundles/cup-saucer"
    assert alert.facts["next_step"]
    assert outcome.evaluation is not None
    assert alert.facts["data"]["record_hash"] == outcome.evaluation.record_hash


@pytest.mark.django_db
def test_evaluate__nothing_accepted_from_the_start__outage_below_the_minimum_sample() -> None:
    experiment = make_running_experiment()
    add_buyers(experiment, "control", 100, 20, at=FIRST_HOUR)
    add_buyers(experiment, "test", 100, 0, at=FIRST_HOUR)

    evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert experiment.pause_cause == PauseCause.OUTAGE
    assert Alert.objects.get().kind == "guardrail_outage"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("buyers", "accepted", "verdict"),
    [(100, 9, Verdict.COLLECTING), (300, 60, Verdict.HEALTHY), (300, 29, Verdict.WATCH)],
)
def test_evaluate__no_evidence__records_and_leaves_it_running(buyers: int, accepted: int, verdict: Verdict) -> None:
    experiment = make_running_experiment()
    add_buyers(experiment, "control", 300, 60, at=FIRST_HOUR)
    add_buyers(experiment, "test", buyers, accepted, at=FIRST_HOUR)
    add_visitors(experiment, "test", 300 - buyers, at=FIRST_HOUR)

    outcome = evaluate(experiment.pk, now=LATER)

    assert outcome.evaluation is not None
    assert outcome.evaluation.verdict == verdict
    assert outcome.evaluation.action == EvaluationAction.NONE
    assert traces() == {
        "GuardrailEvaluation": 1, "ExperimentEvent": 0, "PublishedDocument": 0, "Alert": 0, "Delivery": 0
    }  # fmt: skip


@pytest.mark.django_db
def test_evaluate__unchanged_data__writes_nothing() -> None:
    experiment = make_healthy()
    first = evaluate(experiment.pk, now=LATER)
    before = traces()

    again = evaluate(experiment.pk, now=LATER + dt.timedelta(minutes=5))

    assert again.evaluation == first.evaluation
    assert traces() == before


@pytest.mark.django_db
def test_evaluate__new_orders__one_more_record_in_the_chain() -> None:
    experiment = make_healthy()
    first = evaluate(experiment.pk, now=LATER).evaluation
    add_buyers(experiment, "test", 10, 2, at=SECOND_HOUR)

    second = evaluate(experiment.pk, now=LATER).evaluation

    assert first is not None
    assert second is not None
    assert second.sequence == first.sequence + 1
    assert second.previous_hash == first.record_hash
    assert verify_chain().first_difference is None


@pytest.mark.django_db
def test_evaluate__shadow_mode__would_pause_and_tells_once() -> None:
    experiment = make_breaching(guardrail_config={"min_acceptance_rate": 0.1, "mode": "shadow"})

    first = evaluate(experiment.pk, now=LATER)
    add_buyers(experiment, "test", 10, 0, at=SECOND_HOUR)
    second = evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert experiment.is_running
    assert first.evaluation is not None
    assert second.evaluation is not None
    assert {first.evaluation.action, second.evaluation.action} == {EvaluationAction.WOULD_PAUSE}
    assert (first.alerts, second.alerts) == (1, 0)


@pytest.mark.django_db
def test_evaluate__control_outside_too__bound_unfit_is_told_once_and_nothing_paused() -> None:
    experiment = make_running_experiment()
    for key in ("control", "test"):
        add_buyers(experiment, key, 300, 9, at=FIRST_HOUR)

    first = evaluate(experiment.pk, now=LATER)
    add_buyers(experiment, "test", 10, 0, at=SECOND_HOUR)
    second = evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert experiment.is_running
    assert {alert.kind for alert in Alert.objects.all()} == {"guardrail_bound_unfit", "guardrail_control_breached"}
    assert (first.alerts, second.alerts) == (2, 0)
    assert first.evaluation is not None
    assert first.evaluation.action == EvaluationAction.ALERTED


@pytest.mark.django_db
def test_evaluate__exposures_of_the_test_variant_collapse__outage() -> None:
    experiment = make_running_experiment()
    add_visitors(experiment, "control", 500, at=FIRST_HOUR)
    add_visitors(experiment, "test", 20, at=FIRST_HOUR)

    evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert experiment.pause_cause == PauseCause.OUTAGE
    assert "it seems to fail before it is shown" in experiment.pause_reason


@pytest.mark.django_db
def test_evaluate__sample_ratio_off__latched_hold_stops_the_pause_and_tells_once() -> None:
    experiment = make_running_experiment()
    add_visitors(experiment, "control", 700, at=FIRST_HOUR)
    add_visitors(experiment, "test", 300, at=FIRST_HOUR)
    add_buyers(experiment, "control", 300, 60, at=FIRST_HOUR)
    add_buyers(experiment, "test", 300, 13, at=FIRST_HOUR)

    first = evaluate(experiment.pk, now=LATER)
    add_visitors(experiment, "test", 400, at=SECOND_HOUR)
    second = evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert experiment.is_running
    assert first.evaluation is not None
    assert second.evaluation is not None
    assert first.evaluation.inputs["holds"] == ["sample_ratio_mismatch"]
    assert second.evaluation.inputs["holds"] == ["sample_ratio_mismatch"]
    assert first.evaluation.verdict == Verdict.BREACHED
    assert [alert.kind for alert in Alert.objects.all()] == ["guardrail_hold"]


@pytest.mark.django_db
def test_evaluate__many_orders_cancelled_since_the_last_record__holds_until_new_data() -> None:
    experiment = make_healthy()
    orders = add_buyers(experiment, "test", 40, 8, at=SECOND_HOUR)
    evaluate(experiment.pk, now=LATER)
    cancel(orders, at=LATER)

    held = evaluate(experiment.pk, now=LATER)
    still = evaluate(experiment.pk, now=LATER)
    add_buyers(experiment, "test", 10, 2, at=SECOND_HOUR)
    released = evaluate(experiment.pk, now=LATER)

    assert held.evaluation is not None
    assert held.evaluation.verdict == Verdict.HOLD
    assert still.evaluation == held.evaluation
    assert released.evaluation is not None
    assert released.evaluation.verdict == Verdict.HEALTHY
    assert [alert.kind for alert in Alert.objects.order_by("pk")] == ["guardrail_hold", "guardrail_hold_over"]


@pytest.mark.django_db
def test_evaluate__many_orders_cancelled_and_replaced_alike__holds_though_every_count_is_as_before() -> None:
    experiment = make_healthy()
    orders = add_buyers(experiment, "test", 40, 40, at=SECOND_HOUR)
    first = evaluate(experiment.pk, now=LATER).evaluation
    replace_orders(orders, at=SECOND_HOUR + dt.timedelta(minutes=9))
    cancel(orders, at=LATER)

    held = evaluate(experiment.pk, now=LATER).evaluation

    assert first is not None
    assert held is not None
    before, now = (record.inputs["observations"][1] for record in (first, held))
    assert {name for name in now if now[name] != before[name]} == {"revised_n", "revised_count"}
    assert (now["revised_n"], now["revised_count"]) == (40, 40)
    assert held.verdict == Verdict.HOLD
    assert verify_chain().first_difference is None


@pytest.mark.django_db
@pytest.mark.parametrize(("mixed", "faults", "holds"), [(8, 0, ["mixed_units"]), (0, 8, ["client_faults"]), (6, 6, [])])
def test_evaluate__more_than_one_in_a_hundred_flagged__latched_hold(mixed: int, faults: int, holds: list[str]) -> None:
    experiment = make_healthy()
    VariantMetric.objects.create(
        experiment=experiment,
        variant=experiment.variants.get(key="test"),
        phase=phase_of(experiment),
        window_start=NOON.date(),
        exposed_count=600,
        computed_at=LATER,
        watermark_at=LATER,
        metadata={"mixed_count": mixed, "fault_count": faults},
    )

    evaluation = evaluate(experiment.pk, now=LATER).evaluation

    assert evaluation is not None
    assert evaluation.inputs["holds"] == holds


@pytest.mark.django_db
def test_evaluate__busy_slot_gone_quiet__holds_as_silent() -> None:
    experiment = make_healthy()
    for hour in range(2, 30):
        for key in ("control", "test"):
            add_visitors(experiment, key, 20, at=NOON + dt.timedelta(hours=hour))

    talking = evaluate(experiment.pk, now=NOON + dt.timedelta(hours=30, minutes=5)).evaluation
    silent = evaluate(experiment.pk, now=NOON + dt.timedelta(hours=34, minutes=5)).evaluation

    assert talking is not None
    assert silent is not None
    assert talking.inputs["holds"] == []
    assert silent.inputs["holds"] == ["telemetry_silent"]
    assert silent.verdict == Verdict.HOLD


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [{"status": ExperimentStatus.PAUSED}, {"status": ExperimentStatus.COMPLETED}],
    ids=["paused", "completed"],
)
def test_evaluate__not_running__is_not_judged(changes: dict[str, Any]) -> None:
    experiment = make_breaching()
    Experiment.objects.filter(pk=experiment.pk).update(**changes)

    outcome = evaluate(experiment.pk, now=LATER)

    assert outcome == EvaluationOutcome(None)
    assert GuardrailEvaluation.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("origin", [PhaseOrigin.SEEDED, PhaseOrigin.IMPORTED])
def test_evaluate_due__seeded_or_imported__is_left_alone(origin: str) -> None:
    experiment = make_breaching()
    change_phase(experiment, origin=origin)

    assert evaluate_due(now=LATER) == TickResult(0, 0, 0)
    assert GuardrailEvaluation.objects.count() == 0


@pytest.mark.django_db
def test_evaluate_due__one_bad_experiment__the_rest_is_judged_and_the_third_failure_alerts() -> None:
    broken = make_running_experiment(slug="broken")
    change_phase(broken, bounds={"max_acceptance_rate": "many"})
    make_breaching(slug="breaching")
    make_healthy(slug="healthy")

    results = [evaluate_due(now=LATER + dt.timedelta(minutes=minute)) for minute in range(3)]

    assert [result.evaluated for result in results] == [2, 1, 1]
    assert [result.paused for result in results] == [1, 0, 0]
    assert all(result.errors[0].startswith("broken: GuardrailConfigError") for result in results)
    assert sorted(Alert.objects.values_list("kind", flat=True)) == ["guardrail_breached", "guardrail_failing"]


@pytest.mark.django_db
def test_evaluate_due__failure_gone__streak_is_forgotten() -> None:
    experiment = make_healthy()
    change_phase(experiment, bounds={"unknown": 1})
    evaluate_due(now=LATER)
    change_phase(experiment, bounds={"min_acceptance_rate": 0.1})

    evaluate_due(now=LATER)

    experiment.refresh_from_db()
    assert "evaluation_failures" not in experiment.metadata


@pytest.mark.django_db
def test_evaluate_due__two_breached__two_pauses_two_alerts() -> None:
    for slug in ("first", "second"):
        make_breaching(slug=slug)

    result = evaluate_due(now=LATER)

    assert result == TickResult(evaluated=2, paused=2, alerts=2)
    assert set(Experiment.objects.values_list("status", flat=True)) == {ExperimentStatus.PAUSED}


@pytest.mark.django_db
def test_evaluate_due__nothing_new__constant_number_of_queries() -> None:
    def queries() -> int:
        evaluate_due(now=LATER)
        with CaptureQueriesContext(connection) as captured:
            evaluate_due(now=LATER)
        return len(captured)

    for slug in ("a", "b"):
        add_buyers(make_running_experiment(slug=slug), "test", 10, 2, at=FIRST_HOUR)
    few = queries()
    for slug in ("c", "d", "e", "f"):
        add_buyers(make_running_experiment(slug=slug), "test", 10, 2, at=FIRST_HOUR)

    assert queries() == few


@pytest.mark.django_db
@pytest.mark.parametrize("minute", [0, 20])
def test_load_frames__old_hours__merged_as_the_guardrails_merge_them(minute: int) -> None:
    opened_at = NOON + dt.timedelta(minutes=minute)
    experiment = make_running_experiment(now=opened_at)
    hours = [HourTally(NOON + dt.timedelta(hours=hour), 3 + hour % 5, hour % 3) for hour in range(24 * 6)]
    for hour in hours:
        GuardrailTally.objects.create(
            experiment=experiment,
            phase=phase_of(experiment),
            variant_key="test",
            outcome_hour_at=hour.hour_at,
            n=hour.n,
            accepted=hour.accepted,
            gross_n=hour.n + 1,
            gross_accepted=hour.accepted,
        )

    for age in range(0, 24 * 6, 7):
        watermark_at = NOON + dt.timedelta(hours=age, minutes=30)
        frame = load_frames([experiment], watermark_at=watermark_at)[experiment.pk]
        clock = BlockClock(opened_at, frame.judged_at)
        assert sorted(frame.tallies["test"]) == sorted(merge_old_hours(clock, hours))
        assert frame.gross["test"][0] == sum(hour.n + 1 for hour in hours)


@pytest.mark.django_db
def test_evaluate__threshold_edited_while_running__new_threshold_is_judged() -> None:
    experiment = make_healthy()
    evaluate(experiment.pk, now=LATER)
    Experiment.objects.filter(pk=experiment.pk).update(guardrail_config={"min_acceptance_rate": 0.5})

    evaluation = evaluate(experiment.pk, now=LATER).evaluation

    assert evaluation is not None
    assert evaluation.inputs["frame"]["config"]["min_acceptance_rate"] == 0.5
    assert evaluation.verdict == Verdict.WATCH or "bound_unfit" in evaluation.verdicts[1]["codes"]


def test_record_inputs__reads_back_from_the_database__same_digest(db: None) -> None:
    experiment = make_healthy()
    evaluation = evaluate(experiment.pk, now=LATER).evaluation
    assert evaluation is not None

    stored = GuardrailEvaluation.objects.get(pk=evaluation.pk)

    assert stored.inputs == evaluation.inputs
    assert stored.verdicts == evaluation.verdicts
    assert set(stored.inputs) == {"rule_version", "frame", "observations", "holds"}
    assert record_inputs.__module__.startswith("catalog_experiments.guardrails")


@pytest.mark.django_db
def test_evaluate__changed_by_a_person_meanwhile__superseded_then_judged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_breaching()

    def edited_after_reading(*args: Any, **kwargs: Any) -> Any:
        frames = load_frames(*args, **kwargs)
        Experiment.objects.filter(pk=experiment.pk).update(lock_version=F("lock_version") + 1)
        return frames

    with monkeypatch.context() as patched:
        patched.setattr(acting, "load_frames", edited_after_reading)
        stale = evaluate(experiment.pk, now=LATER)
    fresh = evaluate(experiment.pk, now=LATER)

    assert stale.superseded
    assert stale.evaluation is not None
    assert stale.evaluation.action == EvaluationAction.SUPERSEDED
    assert not stale.paused
    assert fresh.paused
    assert verify_chain().first_difference is None


@pytest.mark.django_db
@pytest.mark.parametrize("step", ["append_records", "enqueue", "drafts_of"])
def test_evaluate__exception_between_the_steps__leaves_no_trace(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_breaching()

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the process ends here")

    before = traces()
    with monkeypatch.context() as patched:
        patched.setattr(acting, step, failing)
        with pytest.raises(RuntimeError, match="ends here"):
            evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert experiment.is_running
    assert traces() == before
    assert evaluate(experiment.pk, now=LATER).paused


@pytest.mark.django_db
def test_evaluate__exception_after_the_pause__leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_breaching()

    def pausing_then_failing(*args: Any, **kwargs: Any) -> None:
        lifecycle_pause(*args, **kwargs)
        raise RuntimeError("the process ends here")

    lifecycle_pause = lifecycle.pause
    before = traces()
    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "pause", pausing_then_failing)
        with pytest.raises(RuntimeError, match="ends here"):
            evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert experiment.is_running
    assert traces() == before


@pytest.mark.django_db(transaction=True)
def test_evaluate__two_evaluators_at_once__one_pause_one_alert() -> None:
    experiment = make_breaching()
    barrier, outcomes = threading.Barrier(2), list[EvaluationOutcome]()

    def judge_together(*args: Any, **kwargs: Any) -> Any:
        frames = load_frames(*args, **kwargs)
        barrier.wait(10)
        return frames

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(acting, "load_frames", judge_together)
        run_in_threads(2, lambda: outcomes.append(evaluate(experiment.pk, now=LATER)))

    assert sorted(outcome.paused for outcome in outcomes) == [False, True]
    assert sum(outcome.alerts for outcome in outcomes) == 1
    assert traces() == {
        "GuardrailEvaluation": 1, "ExperimentEvent": 1, "PublishedDocument": 1, "Alert": 1, "Delivery": 0
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_evaluate__human_resumed_meanwhile__is_not_paused_on_old_evidence() -> None:
    experiment = make_breaching()

    def resumed_after_reading(*args: Any, **kwargs: Any) -> Any:
        frames = load_frames(*args, **kwargs)
        lifecycle.pause(experiment.pk, actor="user:ana", now=LATER, reason="looking")
        lifecycle.resume(experiment.pk, actor="user:ana", now=LATER, reason="it is fine")
        return frames

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(acting, "load_frames", resumed_after_reading)
        outcome = evaluate(experiment.pk, now=LATER)

    experiment.refresh_from_db()
    assert outcome.superseded
    assert experiment.is_running


@pytest.mark.django_db(transaction=True)
def test_evaluate__row_locked_by_somebody_else__gives_way() -> None:
    experiment = make_breaching()
    locked, done = threading.Event(), threading.Event()

    def hold_the_row() -> None:
        with transaction.atomic():
            Experiment.objects.locked([experiment.pk])
            locked.set()
            done.wait(20)

    holder = threading.Thread(target=closing(hold_the_row))
    holder.start()
    locked.wait(10)
    try:
        outcome = evaluate(experiment.pk, now=LATER)
    finally:
        done.set()
        holder.join()

    assert outcome == EvaluationOutcome(None, superseded=True)
    assert GuardrailEvaluation.objects.count() == 0


def run_in_threads(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=closing(work)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def closing(work: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    return run


@pytest.mark.django_db
def test_report__draft__collecting_without_metric_and_without_record() -> None:
    experiment = make_experiment()

    found = report(experiment, now=LATER)

    assert found.verdict == Verdict.COLLECTING
    assert [own.variant_key for own in found.breaches] == ["control", "test"]
    assert found.breaches[0].breaches == ("sample_size", "min_acceptance_rate")
    assert found.breaches[0].latest_metric is None
    assert GuardrailEvaluation.objects.count() == 0


@pytest.mark.django_db
def test_report__seeded__literal_codes_and_verdict_from_the_seeded_counts() -> None:
    experiment = make_running_experiment(sample_size_guardrail=50)
    change_phase(experiment, origin=PhaseOrigin.SEEDED)
    for key, accepted in (("control", 180), ("test", 20)):
        VariantMetric.objects.create(
            experiment=experiment,
            variant=experiment.variants.get(key=key),
            phase=phase_of(experiment),
            window_start=NOON.date(),
            acceptance_rate=accepted / 1000,
            acceptance_count=accepted,
            sample_size=1000,
            computed_at=LATER,
            watermark_at=LATER,
        )

    found = report(Experiment.objects.get(pk=experiment.pk), now=LATER)

    assert [own.breaches for own in found.breaches] == [(), ("min_acceptance_rate",)]
    assert [own.verdict for own in found.breaches] == [Verdict.HEALTHY, Verdict.OUTAGE]
    assert GuardrailEvaluation.objects.count() == 0


@pytest.mark.django_db
def test_report__running_and_breaching__reports_without_pausing() -> None:
    experiment = make_breaching()
    refresh_tallies([experiment.pk], now=LATER)

    found = report(experiment, now=LATER)

    experiment.refresh_from_db()
    assert experiment.is_running
    assert found.verdict == Verdict.BREACHED
    assert found.breaches[1].evidence[0].is_crossed


@pytest.mark.django_db
def test_report__paused_by_evidence_then_revised__verdict_stays_and_says_so() -> None:
    experiment = make_breaching()
    evaluate(experiment.pk, now=LATER)
    add_buyers(experiment, "test", 200, 200, at=FIRST_HOUR)
    refresh_tallies([experiment.pk], now=LATER)
    experiment.refresh_from_db()

    found = report(experiment, now=LATER)

    assert found.is_latched
    assert found.would_no_longer_cross
    assert found.verdict == Verdict.BREACHED
    assert found.breaches[1].evidence[0].log_e is not None


@pytest.fixture
def chain(db: None) -> list[GuardrailEvaluation]:
    experiment = make_running_experiment()
    add_buyers(experiment, "control", 20, 4, at=FIRST_HOUR)
    for number in range(4):
        add_buyers(experiment, "test", 5, number % 2, at=SECOND_HOUR)
        evaluate(experiment.pk, now=LATER)
    return list(GuardrailEvaluation.objects.order_by("sequence"))


def forge(statement: str, *parameters: str | int) -> None:
    """Change the records as a superuser could."""
    table = GuardrailEvaluation._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement.format(table=table), parameters)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


@pytest.mark.parametrize(
    ("statement", "parameters", "named"),
    [
        ("UPDATE {table} SET action = 'paused' WHERE sequence = 2", (), "record 2: its content was changed"),
        ("UPDATE {table} SET evaluated_at = now() WHERE sequence = 3", (), "record 3: its content was changed"),
        ("DELETE FROM {table} WHERE sequence = 2", (), "record 3: record 2 is missing before it"),
        ("UPDATE {table} SET sequence = 99 WHERE sequence = 1", (), "record 2: record 1 is missing before it"),
        ("UPDATE {table} SET previous_hash = 'x' WHERE sequence = 4", (), "record 4: it does not follow"),
    ],
)
def test_verify_chain__forged__names_the_first_difference(
    chain: list[GuardrailEvaluation], statement: str, parameters: tuple[str, ...], named: str
) -> None:
    forge(statement, *parameters)

    difference = verify_chain().first_difference

    assert difference is not None
    assert difference.startswith(named)


def test_verify_chain__swapped_records__found(chain: list[GuardrailEvaluation]) -> None:
    for old, new in ((2, 100), (3, 2), (100, 3)):
        forge("UPDATE {table} SET sequence = %s WHERE sequence = %s", new, old)

    difference = verify_chain().first_difference

    assert difference is not None
    assert difference.startswith("record 2: it does not follow the record before it")


def test_verify_chain__verdict_forged_with_a_fitting_hash__recomputed_from_its_inputs(
    chain: list[GuardrailEvaluation],
) -> None:
    from catalog_experiments.enforcement.records import hash_of

    last = chain[-1]
    last.verdicts[1]["verdict"] = "breached"
    forge(
        "UPDATE {table} SET verdicts = jsonb_set(verdicts, '{{1,verdict}}', '\"breached\"'), record_hash = %s"
        " WHERE sequence = %s",
        hash_of(last),
        last.sequence,
    )

    difference = verify_chain().first_difference

    assert difference == "record 4: variant 'test': judged again it is collecting, not as recorded"


@pytest.mark.django_db
def test_verify_chain__record_of_a_pause_cut_off__found() -> None:
    experiment = make_breaching()
    evaluate(experiment.pk, now=LATER)

    forge("DELETE FROM {table} WHERE action = 'paused'")
    forge("DELETE FROM catalog_bundle_experiment_guardrail_head")

    difference = verify_chain().first_difference
    assert difference is not None
    assert difference.startswith("the record that paused 'cup-saucer'")


def test_verify_chain__whole__counts_and_reports_progress(chain: list[GuardrailEvaluation]) -> None:
    seen: list[tuple[int, int]] = []

    result = verify_chain(progress=lambda done, total: seen.append((done, total)))

    assert (result.checked, result.first_difference) == (4, None)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.django_db(transaction=True)
def test_append_record__many_writers_at_once__chain_stays_whole() -> None:
    slugs = [f"e{number}" for number in range(6)]
    experiments = [make_healthy(slug=slug) for slug in slugs]
    waiting = list(experiments)

    run_in_threads(6, lambda: evaluate(waiting.pop().pk, now=LATER))

    result = verify_chain()
    assert (result.checked, result.first_difference) == (6, None)


@pytest.mark.django_db
def test_worker__run_once__evaluates_all_running() -> None:
    make_breaching()

    result = BundleExperimentGuardrailWorker().run_once(now=LATER)

    assert (result.evaluated, result.paused, result.alerts) == (1, 1, 1)


@pytest.mark.django_db
def test_worker__round_fails__goes_on_until_stopped(caplog: pytest.LogCaptureFixture) -> None:
    rounds: list[dt.datetime] = []

    def tick(now: dt.datetime) -> TickResult:
        rounds.append(now)
        if len(rounds) == 3:
            worker.stop()
        raise RuntimeError("database away")

    worker = BundleExperimentGuardrailWorker(0.01, tick=tick)

    worker.run_forever()

    assert len(rounds) == 3
    assert "a guardrail round failed" in caplog.text
