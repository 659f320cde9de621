"""The weekly calibration: quiet on sound data, red where the measuring is broken, and bounded in what it draws."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from catalog_experiments.aggregation.drawing import DrawnUnit, draw_units
from catalog_experiments.assignment import bucket
from catalog_experiments.canary import acknowledge, calibrate, calibration
from catalog_experiments.canary.calibration import count_rejections, salts_of
from catalog_experiments.models import (
    CalibrationRun,
    CanaryAlarm,
    Experiment,
    Exposure,
    JobOutcome,
    JobRun,
    Order,
    Phase,
    PhaseOrigin,
)
from catalog_experiments.scheduling import CALIBRATION, load_schedule, run_now, run_task
from notifications.models import Alert
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors, cancel, change_phase, phase_of
from tests.environment import PROJECT

DAY = dt.timedelta(days=1)
OPENED = NOON - 20 * DAY
SEED = "c0ffee"


def units_of(count: int, *, seed: int, rate: float = 0.1) -> list[DrawnUnit]:
    """Make units that order with the same chance, whatever half they will fall into."""
    draw = random.Random(seed)
    return [DrawnUnit(str(uuid.UUID(int=draw.getrandbits(128))), draw.random() < rate) for _ in range(count)]


def add_shop(experiment: Experiment, units: list[DrawnUnit], *, at: dt.datetime = OPENED + DAY) -> None:
    """Store units as exposed in the experiment's phase, and an order an hour later of those that ordered."""
    phase = phase_of(experiment)
    Exposure.objects.bulk_create(
        Exposure(
            retention_month=phase.opened_at.date().replace(day=1),
            experiment=experiment,
            phase=phase,
            unit=unit,
            variant_key="control",
            exposed_at=at,
            recorded_at=at,
        )
        for unit, _ in units
    )
    Order.objects.bulk_create(
        Order(
            order_ref=unit,
            unit=unit,
            placed_at=at + dt.timedelta(hours=1),
            revenue_minor=3240,
            currency="EUR",
            recorded_at=at,
            revised_at=at,
            content_digest=unit,
        )
        for unit, has_ordered in units
        if has_ordered
    )


@pytest.mark.parametrize("seed", range(5))
def test_splits__of_sound_units__differ_about_as_often_as_chance_has_it(seed: int) -> None:
    rejections = count_rejections(units_of(2_000, seed=seed), salts_of(SEED))

    assert 1 <= rejections < 24


def test_splits__of_units_counted_four_times__differ_far_too_often() -> None:
    rejections = count_rejections(units_of(1_000, seed=1) * 4, salts_of(SEED))

    assert rejections >= 24


@pytest.mark.django_db
def test_calibrate__sound_data__stores_what_it_drew_and_stays_quiet() -> None:
    experiment = make_running_experiment(now=OPENED)
    add_shop(experiment, units_of(1_500, seed=2))

    run = calibrate(now=NOON, seed=SEED)

    stored = CalibrationRun.objects.get()
    assert stored == run
    assert (stored.unit_count, stored.split_count, stored.seed, stored.is_red) == (1_500, 200, SEED, False)
    assert stored.buyer_count == Order.objects.count()
    assert 1 <= (stored.rejection_count or 0) < 24
    assert not CanaryAlarm.objects.exists()
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_calibrate__same_seed__comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running_experiment(now=OPENED)
    add_shop(experiment, units_of(1_500, seed=3))
    monkeypatch.setattr(calibration, "MOST_UNITS", 600)

    first, again, other = (calibrate(now=NOON, seed=seed) for seed in (SEED, SEED, "another"))

    assert first.unit_count == other.unit_count == 600
    assert (first.buyer_count, first.rejection_count) == (again.buyer_count, again.rejection_count)
    drawn = [draw_units(since_at=OPENED, now=NOON, seed=seed, most=600) for seed in (SEED, "another")]
    assert drawn[0] != drawn[1]


@pytest.mark.django_db
def test_calibrate__outcomes_depend_on_the_assignment__red_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # The bug: a bucketing that forgets the phase's salt, and one half of it served better.
    experiment = make_running_experiment(now=OPENED)
    units = [DrawnUnit(own.unit, int(own.unit[:2], 16) < 32) for own in units_of(1_500, seed=4)]
    add_shop(experiment, [own._replace(has_ordered=own.has_ordered or is_lucky(own)) for own in units])
    monkeypatch.setattr(calibration, "bucket", lambda _, unit: bucket("fixed", unit))

    first = calibrate(now=NOON, seed=SEED)
    second = calibrate(now=NOON + 7 * DAY, seed="next week")

    alarm = CanaryAlarm.objects.get()
    assert (first.is_red, second.is_red, alarm.calibration) == (True, True, first)
    assert "200 of 200 random splits" in alarm.finding
    [alert] = Alert.objects.all()
    assert (alert.kind, alert.severity) == ("canary_red", "critical")
    assert f"/admin/merchandising/bundles/canary-alarms/{alarm.pk}" in str(alert.facts)


def is_lucky(unit: DrawnUnit) -> bool:
    """Say of every eighth unit of the favored half that it orders."""
    return bucket("fixed", unit.unit) >= 5_000 and int(unit.unit[2:4], 16) < 32


@pytest.mark.django_db
def test_calibrate__units_counted_four_times__red(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running_experiment(now=OPENED)
    add_shop(experiment, units_of(1_000, seed=5))
    monkeypatch.setattr(calibration, "draw_units", lambda **arguments: draw_units(**arguments) * 4)

    run = calibrate(now=NOON, seed=SEED)

    assert run.is_red
    assert CanaryAlarm.objects.standing().count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("rejections", "is_red"), [(23, False), (24, True)])
def test_calibrate__at_the_threshold__red_from_24_of_200(
    monkeypatch: pytest.MonkeyPatch, rejections: int, is_red: bool
) -> None:
    experiment = make_running_experiment(now=OPENED)
    add_shop(experiment, units_of(600, seed=6))
    monkeypatch.setattr(calibration, "count_rejections", lambda *_, **__: rejections)

    run = calibrate(now=NOON, seed=SEED)

    assert run.is_red is is_red
    assert CanaryAlarm.objects.exists() is is_red


@pytest.mark.django_db
@pytest.mark.parametrize(("units", "rate"), [(399, 1.0), (2_000, 0.01), (0, 0.5)])
def test_calibrate__too_few_units_or_buyers__no_verdict(units: int, rate: float) -> None:
    experiment = make_running_experiment(now=OPENED)
    add_shop(experiment, units_of(units, seed=7, rate=rate))

    run = calibrate(now=NOON, seed=SEED)

    assert (run.unit_count, run.rejection_count, run.is_red) == (units, None, None)


@pytest.mark.django_db
def test_draw__only_real_counted_traffic_of_the_last_weeks__each_unit_once() -> None:
    experiment, other = make_running_experiment(now=OPENED), make_running_experiment(slug="other", now=OPENED)
    imported = make_running_experiment(slug="imported", now=OPENED)
    Phase.objects.filter(pk=phase_of(imported).pk).update(origin=PhaseOrigin.IMPORTED)
    add_visitors(imported, "test", 3, at=NOON - DAY)
    add_visitors(experiment, "test", 5, at=OPENED - 10 * DAY)
    for number, mark in enumerate(("is_mixed", "is_fault", "is_merged", "is_holdout")):
        add_visitors(experiment, "test", 2, at=NOON - number * DAY - DAY)
        Exposure.objects.filter(exposed_at=NOON - number * DAY - DAY).update(**{mark: True})
    bots = add_visitors(experiment, "test", 2, at=OPENED + DAY)
    Exposure.objects.filter(unit__in=bots).update(excluded_as="bot")
    both = add_buyers(experiment, "test", 1, 1, at=NOON - 5 * DAY)[0].unit
    assert both is not None
    copy = Exposure.objects.get(unit=both)
    copy.pk, copy.experiment, copy.phase = uuid.uuid4(), other, phase_of(other)
    copy.save(force_insert=True)

    drawn = draw_units(since_at=NOON - 28 * DAY, now=NOON, seed=SEED, most=100)

    assert drawn == [DrawnUnit(str(both), has_ordered=True)]


@pytest.mark.django_db
def test_draw__orders_outside_the_window_cancelled_or_of_bots__are_no_conversion() -> None:
    experiment = make_running_experiment(now=OPENED)
    add_buyers(experiment, "test", 1, 1, at=OPENED + DAY)
    late, early, bots = (add_buyers(experiment, "test", 1, 1, at=OPENED + DAY) for _ in range(3))
    cancel(add_buyers(experiment, "test", 1, 1, at=OPENED + DAY), at=NOON)
    Order.objects.filter(pk=late[0].pk).update(placed_at=OPENED + DAY + 7 * DAY)
    Order.objects.filter(pk=early[0].pk).update(placed_at=F("placed_at") - dt.timedelta(hours=1))
    Order.objects.filter(pk=bots[0].pk).update(excluded_as="bot")

    drawn = draw_units(since_at=OPENED, now=NOON, seed=SEED, most=100)
    change_phase(experiment, window_days=8)
    longer = draw_units(since_at=OPENED, now=NOON, seed=SEED, most=100)

    assert (len(drawn), sum(unit.has_ordered for unit in drawn)) == (5, 1)
    assert sum(unit.has_ordered for unit in longer) == 2


@pytest.mark.django_db
def test_calibrate__red_again_after_an_acknowledgement__is_a_new_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running_experiment(now=OPENED)
    add_shop(experiment, units_of(600, seed=8))
    monkeypatch.setattr(calibration, "count_rejections", lambda *_, **__: 30)
    calibrate(now=NOON, seed=SEED)
    acknowledge(CanaryAlarm.objects.get().pk, actor="user:mara", reason="a proxy", now=NOON + DAY)

    calibrate(now=NOON + 7 * DAY, seed="next week")

    assert CanaryAlarm.objects.standing().count() == 1
    assert [alert.kind for alert in Alert.objects.order_by("pk")] == ["canary_red", "canary_over", "canary_red"]


@pytest.mark.django_db
def test_job__weekly_slot__is_worked_once_and_stands_in_the_ledger() -> None:
    monday = dt.datetime(2026, 3, 2, 5, 3, tzinfo=dt.UTC)

    done = run_task(CALIBRATION, now=monday)
    again = run_task(CALIBRATION, now=monday + dt.timedelta(hours=5))

    assert (done.outcome, again.is_skipped) == (JobOutcome.DONE, True)
    run = JobRun.objects.get(job="canary-calibration")
    assert run.slot_at == monday.replace(minute=0)
    assert run.counts == {"units": 0, "buyers": 0, "splits": 200, "rejections": None, "is_red": None}


@pytest.mark.parametrize("name", ["schedules.toml", "schedules.demo.toml"])
def test_schedule_files__run_it_every_monday(name: str) -> None:
    schedule = load_schedule(PROJECT / "config" / name)

    [job] = [job for job in schedule.jobs if job.task == CALIBRATION]
    assert (job.id, job.cron.expression) == ("canary-calibration", "0 5 * * 1")


@pytest.mark.django_db
def test_run_now__beside_the_schedule__runs_at_once() -> None:
    assert run_now(CALIBRATION, now=timezone.now()).outcome == JobOutcome.DONE


@pytest.mark.django_db
def test_command__clean_red_and_without_verdict__says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running_experiment(now=timezone.now() - 20 * DAY)
    told = StringIO()
    call_command("run_calibration", stdout=told)
    add_shop(experiment, units_of(600, seed=9), at=timezone.now() - 10 * DAY)
    call_command("run_calibration", stdout=told)
    monkeypatch.setattr(calibration, "count_rejections", lambda *_, **__: 30)

    with pytest.raises(CommandError, match="red: 30 of 200 splits differ: 600 visitors"):
        call_command("run_calibration", stdout=told)

    no_verdict, clean = told.getvalue().splitlines()
    assert no_verdict == "no verdict: 0 visitors, 0 of them bought; it takes 400 and 40"
    assert clean.startswith("clean: ")
    assert JobRun.objects.filter(job="canary-calibration", trigger="command").count() == 3
