"""The live A/A canary: quiet while equal variants are measured as equal, red when not, and what holds until then."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from typing import Any

import pytest

from catalog_experiments import lifecycle
from catalog_experiments.aggregation import BundleAcceptanceAggregator, backfill
from catalog_experiments.assignment import allocation, bucket, choose_variant
from catalog_experiments.canary import AlarmIsOver, CanaryRound, acknowledge, watch_canaries
from catalog_experiments.canary.alarms import raise_for_calibration
from catalog_experiments.drafting import InvalidExperiment
from catalog_experiments.enforcement import evaluate, evaluate_due, report, verify_chain
from catalog_experiments.guardrails import Verdict
from catalog_experiments.intake import BundleAcceptanceService, ExposureEvent, OrderEvent, OrderLine, record_exposures
from catalog_experiments.lifecycle import ReasonRequired
from catalog_experiments.models import (
    CalibrationRun,
    CanaryAlarm,
    Experiment,
    ExperimentEvent,
    GuardrailEvaluation,
    JobRun,
    PauseCause,
    Phase,
    TelemetryGap,
)
from catalog_experiments.preflight import failures, run_preflight
from catalog_experiments.scheduling import GUARDRAILS, run_now
from catalog_experiments.timetable import act_due
from notifications.models import Alert
from tests.builders import NOON, make_bundle, make_experiment, make_running_experiment
from tests.catalog_experiments.acting import edit, publish
from tests.catalog_experiments.buyers import add_buyers, add_visitors, phase_of

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
OPENED = NOON - 10 * DAY


def equal_variants(slug: str = "cup-and-saucer") -> list[dict[str, Any]]:
    bundle = make_bundle(bundle_slug=slug)
    return [
        {"key": key, "name": key.title(), "weight": 50, "is_control": key == "control", "bundle": bundle}
        for key in ("control", "test")
    ]


def make_canary(*, now: dt.datetime = OPENED, slug: str = "aa-cup", **fields: Any) -> Experiment:
    """Make a running canary, published past the checklist."""
    usual: dict[str, Any] = {"variants": equal_variants(f"{slug}-offer"), "guardrail_config": {}, "is_canary": True}
    return make_running_experiment(slug=slug, now=now, **(usual | fields))


def add_days(canary: Experiment, days: int, *, met: tuple[int, int], bought: tuple[int, int]) -> None:
    """Add as many units a day to control and test, from the phase's start on; the last of each bought."""
    opened_at = phase_of(canary).opened_at
    for day in range(days):
        at = opened_at + day * DAY + HOUR
        for key, visitors, buyers in zip(("control", "test"), met, bought, strict=True):
            add_visitors(canary, key, visitors - buyers, at=at)
            add_buyers(canary, key, buyers, 0, at=at)


def count_and_watch(now: dt.datetime) -> CanaryRound:
    backfill(lookback_days=30, now=now)
    BundleAcceptanceAggregator().recompute(now=now)
    return watch_canaries(now=now)


def raise_alarm(now: dt.datetime = NOON) -> CanaryAlarm:
    """Let a canary turn red by itself: five visitors of control on one of test."""
    canary = make_canary(slug=f"aa-{uuid.uuid4().hex[:8]}", now=now - DAY)
    add_days(canary, 1, met=(500, 300), bought=(0, 0))
    assert count_and_watch(now).raised == 1
    return CanaryAlarm.objects.get(phase=phase_of(canary))


def kinds() -> list[str]:
    return [alert.kind for alert in Alert.objects.order_by("pk")]


@pytest.mark.django_db
def test_watch__equal_measures__stays_quiet() -> None:
    canary = make_canary()
    add_days(canary, 10, met=(200, 210), bought=(20, 22))

    found = count_and_watch(NOON)

    assert found == CanaryRound()
    assert not CanaryAlarm.objects.exists()
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_watch__split_is_not_as_planned__red_once_with_numbers() -> None:
    canary = make_canary(now=NOON - DAY)
    add_days(canary, 1, met=(500, 300), bought=(0, 0))

    first, second = count_and_watch(NOON), watch_canaries(now=NOON + HOUR)

    alarm = CanaryAlarm.objects.get()
    assert (first.raised, second.raised) == (1, 0)
    assert alarm.phase == phase_of(canary)
    assert alarm.finding == "The canary's equal variants met 500 : 300 visitors, not as planned."
    assert alarm.evidence["sample_ratio_p"] <= 1e-4
    assert kinds() == ["canary_red"]
    [event] = ExperimentEvent.objects.filter(experiment=canary, action="canary_red")
    assert (event.actor, event.experiment_slug) == ("system:canary", "aa-cup")


@pytest.mark.django_db
def test_watch__ratio_off_at_a_thousandth_only__is_a_hold_of_the_canary_but_not_red() -> None:
    canary = make_canary(now=NOON - DAY)
    add_days(canary, 1, met=(480, 345), bought=(0, 0))

    found = count_and_watch(NOON)
    record = evaluate(canary.pk, now=NOON).evaluation

    assert found == CanaryRound()
    assert record is not None
    assert record.inputs["holds"] == ["sample_ratio_mismatch"]


@pytest.mark.django_db
def test_watch__conversion_differs_among_complete_units__red() -> None:
    canary = make_canary(now=NOON - 12 * DAY)
    add_days(canary, 12, met=(200, 200), bought=(16, 44))

    found = count_and_watch(NOON)

    alarm = CanaryAlarm.objects.get()
    assert found.raised == 1
    assert "differ in conversion: control 80 of 1,000, test 220 of 1,000 visitors bought" in alarm.finding
    assert alarm.evidence["conversion_p"] <= 1e-4


@pytest.mark.django_db
def test_watch__experiment_that_is_no_canary__is_never_looked_at() -> None:
    ordinary = make_running_experiment(now=NOON - DAY)
    add_days(ordinary, 1, met=(500, 300), bought=(0, 0))

    assert count_and_watch(NOON) == CanaryRound()


@pytest.mark.django_db
def test_watch__beside_other_experiments__reads_and_writes_none_of_them() -> None:
    other = make_running_experiment(now=OPENED)
    add_days(other, 10, met=(500, 100), bought=(10, 90))
    canary = make_canary()
    add_days(canary, 10, met=(200, 200), bought=(20, 20))
    backfill(lookback_days=30, now=NOON)
    before = (
        Experiment.objects.filter(pk=other.pk).values().get(),
        Phase.objects.filter(experiment=other).values().get(),
    )

    found = watch_canaries(now=NOON)

    after = Experiment.objects.filter(pk=other.pk).values().get(), Phase.objects.filter(experiment=other).values().get()
    assert found == CanaryRound()
    assert before == after
    assert not ExperimentEvent.objects.exists()


@pytest.mark.django_db
def test_real_path__assigned_exposed_ordered_counted__stays_quiet() -> None:
    canary = make_experiment(slug="aa-cup", is_canary=True, guardrail_config={}, variants=equal_variants())
    publish(canary, now=NOON)
    phase, draw = phase_of(Experiment.objects.get()), random.Random(11)
    people, placed_at = [f"visitor-{draw.getrandbits(64):x}" for _ in range(400)], NOON + HOUR
    keys = {
        unit: ("control", "test")[choose_variant(allocation([1, 1]), bucket(phase.salt, unit)) or 0] for unit in people
    }

    record_exposures([exposure(unit, key, NOON + HOUR / 2) for unit, key in keys.items()], now=placed_at)
    for unit in people[:40]:
        BundleAcceptanceService().record_order_acceptance(order(unit, placed_at), now=placed_at)
    found = count_and_watch(placed_at + HOUR)

    assert found == CanaryRound()
    counted = {row.variant.key: row.exposed_count for row in canary.metrics.select_related("variant")}
    assert sum(counted.values()) == 400


def exposure(unit: str, key: str, at: dt.datetime) -> ExposureEvent:
    return ExposureEvent(experiment="aa-cup", variant_key=key, unit_id=unit, exposed_at=at)


def order(unit: str, at: dt.datetime) -> OrderEvent:
    line = OrderLine("cup", 1, 3240, 1500)
    return OrderEvent(order_ref=unit, placed_at=at, lines=(line,), currency="EUR", unit_id=unit)


def make_breaching(now: dt.datetime = NOON) -> Experiment:
    """Make an experiment whose test variant misses 10 %, by evidence for a pause but not for an outage."""
    experiment = make_running_experiment(slug="breaching", now=now - 6 * HOUR)
    add_buyers(experiment, "control", 300, 60, at=now - 5 * HOUR)
    add_buyers(experiment, "test", 300, 13, at=now - 5 * HOUR)
    return experiment


@pytest.mark.django_db
def test_hold__while_red__ordinary_pauses_wait_and_nobody_is_told_twice() -> None:
    alarm, healthy = raise_alarm(), make_running_experiment(slug="healthy", now=NOON - 6 * HOUR)
    breaching = make_breaching()
    add_buyers(healthy, "control", 300, 60, at=NOON - 5 * HOUR)
    add_buyers(healthy, "test", 300, 60, at=NOON - 5 * HOUR)

    evaluate_due(now=NOON)
    evaluate_due(now=NOON + HOUR / 60)

    breaching.refresh_from_db()
    records = GuardrailEvaluation.objects.newest_of(Phase.objects.values_list("pk", flat=True))
    verdicts = {record.experiment.slug: record.verdict for record in records.values()}
    assert breaching.is_running
    assert verdicts["breaching"] == Verdict.BREACHED
    assert verdicts["healthy"] == Verdict.HOLD
    assert all("canary_red" in record.inputs["holds"] for record in records.values())
    assert {own.codes for own in report(healthy, now=NOON).breaches} == {("canary_red",)}
    assert "guardrail_breached" not in kinds()
    assert kinds().count("canary_red") == 1
    assert [alert.kind for alert in Alert.objects.all() if "healthy" in alert.subject] == []
    assert TelemetryGap.objects.filter(cause="canary_red", ended_at=None, phase=phase_of(healthy)).count() == 1
    assert verify_chain().first_difference is None
    assert alarm.ended_at is None


@pytest.mark.django_db
def test_hold__acknowledged_with_a_reason__released_audited_and_told() -> None:
    alarm, breaching = raise_alarm(), make_breaching()
    evaluate(breaching.pk, now=NOON)

    acknowledge(alarm.pk, actor="user:mara", reason="a proxy cached the control", now=NOON + HOUR / 60)
    outcome = evaluate(breaching.pk, now=NOON + HOUR / 30)

    alarm.refresh_from_db()
    assert (alarm.ended_by, alarm.end_reason) == ("user:mara", "a proxy cached the control")
    assert outcome.paused
    [event] = ExperimentEvent.objects.filter(action="canary_acknowledged")
    assert (event.actor, event.reason) == ("user:mara", "a proxy cached the control")
    assert kinds().count("canary_over") == 1
    assert verify_chain().first_difference is None


@pytest.mark.django_db
def test_hold__outage_meanwhile__pauses_all_the_same() -> None:
    raise_alarm()
    dying = make_running_experiment(slug="dying", now=NOON - 6 * HOUR)
    add_buyers(dying, "control", 300, 60, at=NOON - 5 * HOUR)
    add_buyers(dying, "test", 300, 0, at=NOON - 5 * HOUR)

    evaluate(dying.pk, now=NOON)

    dying.refresh_from_db()
    assert dying.pause_cause == PauseCause.OUTAGE
    assert verify_chain().first_difference is None


@pytest.mark.django_db
def test_acknowledge__without_reason_or_twice__is_refused() -> None:
    alarm = raise_alarm()

    with pytest.raises(ReasonRequired):
        acknowledge(alarm.pk, actor="user:mara", reason="  ", now=NOON)
    acknowledge(alarm.pk, actor="user:mara", reason="known", now=NOON)
    with pytest.raises(AlarmIsOver, match="by user:mara"):
        acknowledge(alarm.pk, actor="user:ada", reason="known", now=NOON)


@pytest.mark.django_db
def test_acknowledged__phase_stays_red__does_not_come_back_but_the_next_phase_may() -> None:
    alarm = raise_alarm()
    assert alarm.phase is not None
    acknowledge(alarm.pk, actor="user:mara", reason="known", now=NOON)

    again = watch_canaries(now=NOON + HOUR)
    lifecycle.open_new_phase(alarm.phase.experiment_id, actor="user:mara", now=NOON + HOUR, reason="anew")
    add_days(Experiment.objects.get(pk=alarm.phase.experiment_id), 1, met=(500, 300), bought=(0, 0))
    anew = count_and_watch(NOON + 3 * HOUR)

    assert (again.raised, anew.raised) == (0, 1)
    assert CanaryAlarm.objects.standing().get().phase != alarm.phase


@pytest.mark.django_db
@pytest.mark.parametrize(("days", "is_over"), [(6, False), (8, True)])
def test_next_phase__seven_clean_days__end_the_alarm(days: int, is_over: bool) -> None:
    alarm = raise_alarm(NOON - 10 * DAY)
    assert alarm.phase is not None
    opened_at = alarm.raised_at + HOUR
    lifecycle.open_new_phase(alarm.phase.experiment_id, actor="user:mara", now=opened_at, reason="the cache is gone")
    canary = Experiment.objects.get(pk=alarm.phase.experiment_id)
    add_days(canary, days, met=(50, 50), bought=(5, 5))

    found = count_and_watch(opened_at + days * DAY)

    alarm.refresh_from_db()
    assert found.ended == int(is_over)
    assert (alarm.ended_at is not None, alarm.ended_by) == (is_over, "system:canary" if is_over else "")
    assert kinds().count("canary_over") == int(is_over)


@pytest.mark.django_db
def test_next_phase__days_without_visitors__are_no_clean_days() -> None:
    alarm = raise_alarm(NOON - 10 * DAY)
    assert alarm.phase is not None
    lifecycle.open_new_phase(alarm.phase.experiment_id, actor="user:mara", now=alarm.raised_at, reason="anew")
    add_days(Experiment.objects.get(pk=alarm.phase.experiment_id), 3, met=(50, 50), bought=(5, 5))

    found = count_and_watch(alarm.raised_at + 9 * DAY)

    assert found == CanaryRound()
    assert CanaryAlarm.objects.standing().exists()


@pytest.mark.django_db
def test_clean_phase__answers_calibrations_and_its_own_canary_only() -> None:
    other, run = raise_alarm(NOON - 12 * DAY), make_red_calibration(NOON - 12 * DAY)
    of_calibration = raise_for_calibration(run, now=run.ran_at)
    assert of_calibration is not None
    canary = make_canary(slug="aa-clean", now=NOON - 10 * DAY)
    add_days(canary, 9, met=(50, 50), bought=(5, 5))

    found = count_and_watch(NOON)

    of_calibration.refresh_from_db()
    assert found.ended == 1
    assert of_calibration.end_reason == "aa-clean phase 1 has had 7 clean days."
    assert list(CanaryAlarm.objects.standing()) == [other]
    [event] = ExperimentEvent.objects.filter(action="canary_clean")
    assert (event.actor, event.experiment_slug) == ("system:canary", "calibration:")


def make_red_calibration(ran_at: dt.datetime) -> CalibrationRun:
    drawn = {"seed": "seed", "unit_count": 5_000, "buyer_count": 400, "split_count": 200}
    since_at = ran_at - 28 * DAY
    return CalibrationRun.objects.create(ran_at=ran_at, since_at=since_at, rejection_count=31, is_red=True, **drawn)


@pytest.mark.django_db
def test_own_phase__goes_on_clean__does_not_end_its_own_alarm() -> None:
    alarm = raise_alarm(NOON - 10 * DAY)
    assert alarm.phase is not None
    add_days(Experiment.objects.get(pk=alarm.phase.experiment_id), 9, met=(50, 50), bought=(5, 5))

    assert count_and_watch(NOON).ended == 0


@pytest.mark.django_db
def test_renewal__after_28_days__new_phase_with_a_salt_of_its_own() -> None:
    canary = make_experiment(slug="aa-cup", is_canary=True, guardrail_config={}, variants=equal_variants())
    publish(canary, now=NOON)
    first = phase_of(Experiment.objects.get())

    early = act_due(now=NOON + 28 * DAY - HOUR)
    due = act_due(now=NOON + 28 * DAY)
    again = act_due(now=NOON + 28 * DAY + HOUR)

    second = phase_of(Experiment.objects.get())
    first.refresh_from_db()
    assert (early.done, due.done, again.done) == ({}, {"canary_renewed": 1}, {})
    assert (second.number, second.reason, second.opened_at) == (2, "canary renewed", first.closed_at)
    assert second.salt != first.salt
    event = ExperimentEvent.objects.filter(experiment=canary).first()
    assert event is not None
    assert (event.action, event.actor, event.reason) == ("open_phase", "system:schedule", "canary renewed")


@pytest.mark.django_db
def test_renewal__ordinary_or_paused__waits() -> None:
    make_running_experiment(now=NOON - 40 * DAY)
    paused = make_canary(now=NOON - 40 * DAY)
    lifecycle.pause(paused.pk, actor="user:mara", now=NOON - DAY, reason="a look")

    assert act_due(now=NOON).done == {}


@pytest.mark.django_db
def test_preflight__variants_differ_or_bounds_are_set__fails() -> None:
    sound = make_experiment(slug="aa-cup", is_canary=True, guardrail_config={}, variants=equal_variants())
    unlike = make_experiment(slug="aa-unlike", is_canary=True)
    unlike.variants.filter(key="test").update(override_payload={"headline": "new"})

    passed = [check.code for check in failures(run_preflight(sound, now=NOON))]
    [failed] = [check for check in failures(run_preflight(unlike, now=NOON)) if check.code == "canary"]

    assert "canary" not in passed
    assert "test offers aa-unlike-test, the control aa-unlike-control" in failed.sentence
    assert "test has another override payload than the control" in failed.sentence
    assert "take out min_acceptance_rate" in failed.sentence


@pytest.mark.django_db
def test_edit__published__is_a_canary_or_not_for_good() -> None:
    canary = make_experiment(slug="aa-cup", guardrail_config={}, variants=equal_variants())
    edit(canary, is_canary=True)
    publish(canary, now=NOON)

    with pytest.raises(InvalidExperiment, match="fixed at publish"):
        edit(canary, is_canary=False)


@pytest.mark.django_db
def test_guardrail_job__looks_at_canaries_first__holds_in_the_same_round() -> None:
    canary = make_canary(now=NOON - DAY)
    add_days(canary, 1, met=(500, 300), bought=(0, 0))
    backfill(lookback_days=30, now=NOON)
    breaching = make_breaching()

    run_now(GUARDRAILS, now=NOON)

    breaching.refresh_from_db()
    assert breaching.is_running
    assert JobRun.objects.get().counts["canary_alarms"] == 1
