"""Scheduled starts and ends and planned samples by a simulated clock: once, in order, also after an outage."""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import override_settings

from catalog_experiments import lifecycle, ramping
from catalog_experiments.drafting import InvalidExperiment, create_draft
from catalog_experiments.drafting.specification import ExperimentSpec
from catalog_experiments.lifecycle import PreflightFailed
from catalog_experiments.models import (
    Bundle,
    Experiment,
    ExperimentEvent,
    JobOutcome,
    JobRun,
    Moment,
    MomentMetric,
    PauseCause,
    PublishedDocument,
)
from catalog_experiments.scheduling import TIMETABLE, run_owed, run_task, sync_schedules
from catalog_experiments.shop_time import from_shop_clock
from catalog_experiments.timetable import StepsFailed, act_due
from notifications.models import Alert
from tests.builders import NOON, make_experiment
from tests.catalog_experiments.acting import (
    ACTOR,
    at_once,
    edit,
    entry_of,
    last_event,
    on_one_page,
    pause,
    publish,
    stored,
)
from tests.catalog_experiments.buyers import change_phase, phase_of
from tests.catalog_experiments.test_scheduling import SWITCHED_ON

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
START, END = NOON + HOUR, NOON + 3 * DAY


def done(now: dt.datetime) -> dict[str, int]:
    return dict(act_due(now=now).done)


def actions(experiment: Experiment) -> list[str]:
    return list(experiment.events.order_by("id").values_list("action", flat=True))


def test_start__before_its_moment__does_nothing() -> None:
    draft = make_experiment(scheduled_start_at=START)

    assert done(START - MINUTE) == {}
    assert stored(draft).status == "draft"


def test_start__at_its_moment__publishes_through_the_lifecycle() -> None:
    draft = make_experiment(scheduled_start_at=START)

    assert done(START) == {"started": 1}

    event = last_event(draft)
    assert stored(draft).status == "running"
    assert (event.actor, event.action) == ("system:schedule", "publish")
    assert "Scheduled start" in event.reason
    assert entry_of("cup-saucer")["status"] == "running"
    assert done(START + MINUTE) == {}


def test_start__failing_checklist__leaves_the_draft_with_its_reason_and_tells_once() -> None:
    draft = make_experiment(scheduled_start_at=START)
    Bundle.objects.update(is_active=False)

    assert done(START) == {"refused": 1}
    assert [done(START + n * MINUTE) for n in range(1, 4)] == [{}, {}, {}]

    refused = stored(draft)
    assert refused.status == "draft"
    assert "is not active" in refused.schedule_refusal
    assert Alert.objects.get().kind == "schedule_refused"
    assert actions(draft) == ["schedule_refused"]


def test_start__repaired_and_scheduled_anew__starts() -> None:
    draft = make_experiment(scheduled_start_at=START)
    Bundle.objects.update(is_active=False)
    done(START)
    Bundle.objects.update(is_active=True)
    assert done(START + MINUTE) == {}

    edit(draft, scheduled_start_at=START + DAY)

    assert stored(draft).schedule_refusal == ""
    assert done(START + DAY) == {"started": 1}


def test_end__of_an_experiment_that_a_person_started_after_a_refusal__still_comes() -> None:
    draft = make_experiment(scheduled_start_at=START, scheduled_end_at=END)
    Bundle.objects.update(is_active=False)
    done(START)
    Bundle.objects.update(is_active=True)

    publish(draft, now=START + HOUR)

    assert stored(draft).schedule_refusal == ""
    assert done(END) == {"ended": 1}


def test_start__missed_for_26_hours__is_made_up_once() -> None:
    draft = make_experiment(scheduled_start_at=START)

    assert done(START + 26 * HOUR) == {"started": 1}

    assert "made up for 26.0 h later" in last_event(draft).reason
    assert stored(draft).started_at == START + 26 * HOUR
    assert done(START + 26 * HOUR + MINUTE) == {}


def test_start__missed_together_with_its_end__is_not_made_up() -> None:
    draft = make_experiment(scheduled_start_at=START, scheduled_end_at=START + HOUR)

    assert done(START + 26 * HOUR) == {"refused": 1}

    assert stored(draft).status == "draft"
    assert "before it could start" in stored(draft).schedule_refusal


def test_end__at_its_moment__completes_without_conclusion_and_freezes_the_report() -> None:
    experiment = publish(make_experiment(scheduled_end_at=END))

    assert done(END - MINUTE) == {}
    assert done(END) == {"ended": 1}

    ended = stored(experiment)
    assert (ended.status, ended.conclusion, ended.completed_at) == ("completed", "", END)
    assert len(ended.final_report) == 1
    assert last_event(experiment).actor == "system:schedule"
    assert done(END + MINUTE) == {}


def test_end__missed_for_26_hours__is_made_up_once() -> None:
    experiment = publish(make_experiment(scheduled_end_at=END))

    assert done(END + 26 * HOUR) == {"ended": 1}

    assert "made up for 26.0 h later" in last_event(experiment).reason
    assert actions(experiment).count("complete") == 1


def test_end__while_paused__waits_for_a_person_and_tells_once() -> None:
    experiment = pause(publish(make_experiment(scheduled_end_at=END)), cause=PauseCause.BREACHED)

    assert [done(END), done(END + MINUTE)] == [{"refused": 1}, {}]

    assert stored(experiment).status == "paused"
    assert Alert.objects.get().subject.endswith("did not end as scheduled")


def test_resume__after_its_end_has_passed__is_refused_until_a_later_end_is_set() -> None:
    experiment = pause(publish(make_experiment(scheduled_end_at=END)))
    done(END)
    with pytest.raises(PreflightFailed, match="scheduled end"):
        lifecycle.resume(experiment.pk, actor=ACTOR, now=END + HOUR)

    edit(experiment, scheduled_end_at=END + DAY)
    lifecycle.resume(experiment.pk, actor=ACTOR, now=END + HOUR)

    assert done(END + 2 * HOUR) == {}
    assert done(END + DAY) == {"ended": 1}


def test_round__end_and_start_on_one_page__the_start_gets_the_slot() -> None:
    first = publish(on_one_page("first"))
    Experiment.objects.filter(pk=first.pk).update(scheduled_end_at=END)
    second = on_one_page("second")
    Experiment.objects.filter(pk=second.pk).update(scheduled_start_at=END)

    assert done(END) == {"ended": 1, "started": 1}

    assert entry_of("second")["shadowed"] is False


def test_round__one_experiment_that_fails__never_stops_the_others() -> None:
    broken = publish(
        make_experiment(slug="a-broken", name="Broken", scheduled_end_at=END, ramp_plan=[{"coverage": 500}])
    )
    Experiment.objects.filter(pk=broken.pk).update(scheduled_end_at=None)
    change_phase(broken, bounds={"nonsense": 1})
    other = publish(make_experiment(slug="other", name="Other", scheduled_end_at=END))

    with pytest.raises(StepsFailed, match=str(broken.pk)):
        act_due(now=END)

    assert stored(other).status == "completed"
    assert stored(broken).status == "running"


@pytest.mark.parametrize(
    ("zone", "local", "day"),
    [
        ("Europe/Berlin", "2026-03-29 03:00", dt.datetime(2026, 3, 28, 12, tzinfo=dt.UTC)),
        ("Europe/Berlin", "2026-10-25 03:00", dt.datetime(2026, 10, 24, 12, tzinfo=dt.UTC)),
        ("America/New_York", "2026-03-08 03:00", dt.datetime(2026, 3, 7, 12, tzinfo=dt.UTC)),
        ("America/New_York", "2026-11-01 02:00", dt.datetime(2026, 10, 31, 12, tzinfo=dt.UTC)),
    ],
)
def test_clock__run_minute_by_minute_over_a_turned_clock__starts_once_at_the_shops_time(
    zone: str, local: str, day: dt.datetime
) -> None:
    shop = ZoneInfo(zone)
    start_at = from_shop_clock(dt.datetime.fromisoformat(local), shop)
    draft = make_experiment(scheduled_start_at=start_at)

    with override_settings(CATALOG_SHOP_TIME_ZONE=zone):
        rounds = {now: done(now) for now in (day + n * 10 * MINUTE for n in range(6 * 24))}

    assert [now for now, counts in rounds.items() if counts] == [start_at]
    assert f"{stored(draft).started_at.astimezone(shop):%Y-%m-%d %H:%M}" == local  # type: ignore[union-attr]


@pytest.mark.django_db(transaction=True)
def test_round__two_workers_at_once__start_and_end_once() -> None:
    draft = make_experiment(slug="to-start", name="Start", scheduled_start_at=START)
    running = publish(make_experiment(slug="to-end", name="End", scheduled_end_at=START))
    documents = PublishedDocument.objects.count()

    raised = at_once(*[partial(act_due, now=START)] * 2)

    assert raised == [None, None]
    assert (stored(draft).status, stored(running).status) == ("running", "completed")
    assert actions(draft) == ["publish"]
    assert actions(running).count("complete") == 1
    assert PublishedDocument.objects.count() == documents + 2


@pytest.mark.django_db(transaction=True)
def test_round__two_workers_at_once_on_a_failing_checklist__tell_once() -> None:
    draft = make_experiment(scheduled_start_at=START)
    Bundle.objects.update(is_active=False)

    raised = at_once(*[partial(act_due, now=START)] * 2)

    assert raised == [None, None]
    assert Alert.objects.count() == 1
    assert actions(draft) == ["schedule_refused"]


@override_settings(**SWITCHED_ON)
def test_sweep__scheduler_stopped_for_26_hours__makes_up_start_and_ramp_step() -> None:
    sync_schedules(Path(settings.CATALOG_JOB_SCHEDULE_PATH), now=NOON)
    draft = make_experiment(scheduled_start_at=START, ramp_plan=[{"coverage": 500}, {"coverage": 10_000}])
    after = START + 26 * HOUR + dt.timedelta(seconds=45)

    worked = [result for result in run_owed(now=after) if result.job == "experiment-timetable"]
    again = [
        result for result in run_owed(now=after + dt.timedelta(seconds=10)) if result.job == "experiment-timetable"
    ]

    assert [dict(result.counts) for result in worked] == [{"started": 1}]
    assert again == []
    assert stored(draft).coverage == 500
    later = after + 26 * HOUR
    run_owed(now=later)
    assert stored(draft).coverage == 10_000


def test_task__worked_for_its_slot__leaves_one_run_in_the_ledger() -> None:
    make_experiment(scheduled_start_at=START)

    first, second = run_task(TIMETABLE, now=START), run_task(TIMETABLE, now=START)

    assert dict(first.counts) == {"started": 1}
    assert second.is_skipped
    assert JobRun.objects.get().outcome == JobOutcome.DONE


@pytest.mark.parametrize("field", ["scheduled_start_at", "scheduled_end_at"])
def test_create_and_edit__a_past_moment__is_refused_by_name(field: str) -> None:
    past: dict[str, Any] = {field: NOON - MINUTE}

    with pytest.raises(InvalidExperiment) as created:
        create_draft(ExperimentSpec(slug="late", name="Late", **past), actor=ACTOR, now=NOON)
    with pytest.raises(InvalidExperiment) as edited:
        edit(make_experiment(), **past)

    assert [(error.field, error.code) for error in created.value.errors] == [(field, "past")]
    assert [(error.field, error.code) for error in edited.value.errors] == [(field, "past")]


def test_edit__start_of_a_running_experiment__is_refused() -> None:
    with pytest.raises(InvalidExperiment, match="has started"):
        edit(publish(make_experiment()), scheduled_start_at=END)


def test_edit__end_before_start__is_refused() -> None:
    with pytest.raises(InvalidExperiment, match="after the start"):
        edit(make_experiment(), scheduled_start_at=END, scheduled_end_at=START)


def test_clone__of_a_scheduled_experiment__has_no_schedule() -> None:
    source = make_experiment(scheduled_start_at=START, scheduled_end_at=END, ramp_plan=[{"coverage": 500}])

    clone = lifecycle.clone(source.pk, slug="again", name="Again", actor=ACTOR, now=NOON)

    assert (clone.scheduled_start_at, clone.scheduled_end_at) == (None, None)
    assert [step["coverage"] for step in clone.ramp_plan] == [500]


def make_measured(complete: int, **overrides: Any) -> Experiment:
    """Publish an experiment with a planned sample of 100, and moments of that many units in each variant."""
    experiment = publish(make_experiment(planned_sample_size=100, **overrides))
    add_cohort(experiment, NOON.date(), control=complete, test=100)
    return experiment


def add_cohort(experiment: Experiment, day: dt.date, **counts: int) -> None:
    """Add the conversion moments of one cohort day, ten buyers in each variant."""
    Moment.objects.bulk_create(
        Moment(
            experiment=experiment,
            phase=phase_of(experiment),
            variant_key=key,
            cohort_date=day,
            metric=MomentMetric.CONVERSION,
            n=n,
            total=10,
            total_squares=10,
        )
        for key, n in counts.items()
    )


MATURE = NOON + 9 * DAY


def test_sample__not_complete_in_every_variant__is_not_told() -> None:
    make_measured(99)

    assert done(MATURE) == {}


def test_sample__windows_not_over__is_not_told() -> None:
    make_measured(100)

    assert done(NOON + 2 * DAY) == {}


def test_sample__complete__is_told_once_and_the_experiment_goes_on() -> None:
    experiment = make_measured(100)

    assert [done(MATURE), done(MATURE + MINUTE)] == [{"sample_told": 1}, {}]

    event = last_event(experiment)
    assert stored(experiment).status == "running"
    assert event.action == "planned_sample"
    assert event.after["complete_units"] == {"control": 100, "test": 100}
    assert Alert.objects.get().kind == "planned_sample_reached"


def test_sample__complete_and_set_to_stop__completes_with_the_conclusion_open() -> None:
    experiment = make_measured(100, stop_at_planned_sample=True)

    assert done(MATURE) == {"sample_stopped": 1}

    ended = stored(experiment)
    assert (ended.status, ended.conclusion) == ("completed", "")
    assert actions(experiment)[-2:] == ["planned_sample", "complete"]
    assert ended.final_report[0]["report"]["is_final"] is True


def test_sample__set_to_stop__freezes_a_report_without_units_whose_window_is_open() -> None:
    experiment = make_measured(100, stop_at_planned_sample=True)
    add_cohort(experiment, MATURE.date(), control=70, test=70)

    done(MATURE)

    report = stored(experiment).final_report[0]["report"]
    counted = {
        variant["key"]: metric["n"]
        for variant in report["variants"]
        for metric in variant["metrics"]
        if metric["metric"] == MomentMetric.CONVERSION
    }
    assert counted == {"control": 100, "test": 100}


def test_sample__set_to_stop_after_it_was_told__completes_at_the_next_round() -> None:
    experiment = make_measured(100)
    done(MATURE)

    edit(experiment, stop_at_planned_sample=True)

    assert done(MATURE + MINUTE) == {"sample_stopped": 1}
    assert Alert.objects.count() == 1


def test_sample__new_phase__counts_anew() -> None:
    experiment = make_measured(100)
    done(MATURE)

    lifecycle.open_new_phase(experiment.pk, actor=ACTOR, now=MATURE, reason="clean start")

    assert done(MATURE + 30 * DAY) == {}
    assert ExperimentEvent.objects.filter(action="planned_sample").count() == 1


def test_ramp__of_an_experiment_that_waits_for_its_slot__does_not_climb() -> None:
    publish(on_one_page("first"))
    second = publish(make_experiment(slug="second", name="Second", ramp_plan=[{"coverage": 500}, {"coverage": 10_000}]))

    assert done(NOON + 2 * DAY) == {}
    assert stored(second).coverage == 500
    assert ramping.step(second.pk, now=NOON + 3 * DAY) == ramping.Move.WAIT
