"""Schedules, slots, leases and the ledger: what is owed is done once, whoever knocks and however often."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from hypothesis import given
from hypothesis import strategies as st

from catalog_experiments.models import JobLease, JobOutcome, JobRun, ScheduleOrigin
from catalog_experiments.scheduling import (
    AGGREGATION,
    BACKFILL,
    GUARDRAILS,
    InvalidSchedule,
    JobSpec,
    LeaseHeld,
    RetryPolicy,
    SyncResult,
    Work,
    claim_slot,
    due_slots,
    lease,
    load_schedule,
    run_job,
    run_owed,
    run_task,
    scheduled_jobs,
    sync_schedules,
    take_lease,
)
from catalog_experiments.scheduling import runs as running
from catalog_experiments.scheduling.cron import Cron, InvalidCron
from notifications.models import Alert
from tests.builders import NOON

MINUTE = dt.timedelta(minutes=1)
SLOT = NOON
SPEC = JobSpec("job-a", GUARDRAILS, Cron("*/5 * * * *"), retry=RetryPolicy(max_attempts=3, jitter_seconds=0))
SWITCHED_ON = {
    "CATALOG_JOB_SCHEDULER_ENABLED": True,
    "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED": True,
    "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED": True,
}

SCHEDULE = """
timezone = "UTC"

[jobs.guardrails]
id = "bundle-guardrail-evaluation"
task = "catalog_experiments.tasks.run_guardrail_evaluation"
cron = "*/5 * * * *"
max_attempts = 4
base_backoff_seconds = 15
max_backoff_seconds = 120
jitter_seconds = 5

[jobs.nightly]
task = "catalog_experiments.tasks.run_backfill"
cron = "30 2 * * *"
queue = "bulk"
[jobs.nightly.kwargs]
lookback_days = 30
"""


@pytest.fixture
def schedule_file(tmp_path: Path) -> Path:
    path = tmp_path / "schedules.toml"
    path.write_text(SCHEDULE)
    return path


def write(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def counting(calls: list[Any], result: Work | Exception | None = None) -> Callable[..., Work]:
    def work(**kwargs: Any) -> Work:
        calls.append(kwargs)
        if isinstance(result, Exception):
            raise result
        return result or Work({"done": 1})

    return work


# Cron


@pytest.mark.parametrize(
    ("expression", "zone", "now", "slot"),
    [
        ("*/5 * * * *", "UTC", "2026-03-02T12:04:59", "2026-03-02T12:00:00"),
        ("*/5 * * * *", "UTC", "2026-03-02T12:05:00", "2026-03-02T12:05:00"),
        ("30 2 * * *", "UTC", "2026-03-02T02:29:59", "2026-03-01T02:30:00"),
        ("0 0 29 2 *", "UTC", "2026-03-02T00:00:00", "2024-02-29T00:00:00"),
        ("0 8 * * 1", "UTC", "2026-03-04T00:00:00", "2026-03-02T08:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2025-03-30T12:00:00", "2025-03-30T01:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2025-10-26T12:00:00", "2025-10-26T00:30:00"),
        ("*/5 * * * *", "Europe/Berlin", "2025-10-26T01:17:00", "2025-10-26T01:15:00"),
        ("*/5 * * * *", "Australia/Lord_Howe", "2026-04-04T15:17:00", "2026-04-04T15:15:00"),
        ("0 1 * * *", "Pacific/Kiritimati", "2026-03-01T11:30:00", "2026-03-01T11:00:00"),
    ],
)
def test_latest_slot__expression_zone_and_clock_changes__last_one_due(
    expression: str, zone: str, now: str, slot: str
) -> None:
    found = Cron(expression, ZoneInfo(zone)).latest_slot(dt.datetime.fromisoformat(f"{now}+00:00"))

    assert found.isoformat() == f"{slot}+00:00"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_latest_slot__a_year_of_daily_slots__no_day_twice_or_skipped(zone: str) -> None:
    cron, end = Cron("30 2 * * *", ZoneInfo(zone)), dt.datetime(2026, 6, 1, tzinfo=dt.UTC)

    slots = [slot for slot in cron.slots_before(end) if slot > end - dt.timedelta(days=365)]

    days = [slot.astimezone(ZoneInfo(zone)).date() for slot in slots]
    assert len(set(days)) == len(days) == 365


@pytest.mark.parametrize("expression", ["", "* * * *", "99 * * * *", "*/0 * * * *", "a b c d e", "0 2 31 2 *"])
def test_cron__nonsense__refused(expression: str) -> None:
    with pytest.raises(InvalidCron):
        Cron(expression)


@pytest.mark.parametrize(
    ("expression", "has_fixed_hour", "gap"),
    [("*/5 * * * *", False, 300), ("* * * * *", False, 60), ("7 * * * *", False, 3600), ("0 2 * * *", True, 86_400)],
)
def test_cron__kind_and_gap(expression: str, has_fixed_hour: bool, gap: int) -> None:
    cron = Cron(expression)

    assert (cron.has_fixed_hour, cron.shortest_gap_seconds) == (has_fixed_hour, gap)


# The schedule file


def test_load_schedule__every_field__read(schedule_file: Path) -> None:
    guardrails, nightly = load_schedule(schedule_file).jobs

    assert guardrails.id == "bundle-guardrail-evaluation"
    assert guardrails.retry == RetryPolicy(4, 15, 2, 120, 5)
    assert guardrails.expires_seconds == 270
    assert guardrails.enabled_setting == "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED"
    assert (nightly.id, nightly.queue, nightly.kwargs) == ("nightly", "bulk", {"lookback_days": 30})
    assert nightly.retry == RetryPolicy(1, 5, 2, 60, 1)


@pytest.mark.parametrize("name", ["schedules.toml", "schedules.demo.toml"])
def test_load_schedule__files_of_the_project__valid(name: str) -> None:
    schedule = load_schedule(Path(settings.BASE_DIR) / "config" / name)

    assert {AGGREGATION, GUARDRAILS} <= {job.task for job in schedule.jobs}


@pytest.mark.parametrize(
    ("alias", "task"),
    [
        ("smplat_api.jobs.bundle_acceptance.run_aggregation", AGGREGATION),
        ("smplat_api.jobs.bundle_guardrails.run_guardrail_evaluation", GUARDRAILS),
    ],
)
def test_load_schedule__runbooks_task_name__means_ours(alias: str, task: str, schedule_file: Path) -> None:
    schedule_file.write_text(f'[jobs.one]\ntask = "{alias}"\ncron = "*/5 * * * *"\n')

    assert load_schedule(schedule_file).jobs[0].task == task


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('cron = "*/5 * * * *"', 'cron = "often"', "7: job 'guardrails', key 'cron'"),
        ('cron = "*/5 * * * *"\n', "", "4: job 'guardrails', key 'cron': missing"),
        ("max_attempts = 4", "max_attempts = 0", "8: job 'guardrails', key 'max_attempts'"),
        ("max_attempts = 4", "max_attempts = true", "8: job 'guardrails', key 'max_attempts'"),
        ("base_backoff_seconds = 15", "base_backoff_seconds = -1", "9: job 'guardrails', key 'base_backoff_seconds'"),
        ("base_backoff_seconds = 15", "base_backoff_seconds = nan", "9: job 'guardrails', key 'base_backoff_seconds'"),
        ("jitter_seconds = 5", "jiter_seconds = 5", "11: job 'guardrails', key 'jiter_seconds': unknown key"),
        ("run_backfill", "os.system", "14: job 'nightly', key 'task'"),
        ('queue = "bulk"', 'queue = "fast"', "16: job 'nightly', key 'queue'"),
        ("lookback_days = 30", 'lookback_days = "30"', "18: job 'nightly', key 'lookback_days'"),
        ("lookback_days = 30", "shell = 1", "18: job 'nightly', key 'shell'"),
        (
            'catalog_experiments.tasks.run_backfill"\ncron = "30 2 * * *"\nqueue = "bulk"\n[jobs.nightly.kwargs]\n'
            "lookback_days = 30",
            'catalog_experiments.tasks.run_guardrail_evaluation"\ncron = "30 2 * * *"',
            "14: job 'nightly', key 'task': 'catalog_experiments.tasks.run_guardrail_evaluation' is used by job 'guard",
        ),
        ('timezone = "UTC"', 'timezone = "../etc/passwd"', "2: key 'timezone'"),
        ('timezone = "UTC"', "colour = 1", "2: key 'colour': unknown key"),
        ("[jobs.guardrails]", "[jobs.guardrails", "not valid TOML"),
        ('queue = "bulk"', 'enabled_setting = "SECRET_KEY"', "16: job 'nightly', key 'enabled_setting'"),
        ('queue = "bulk"', "expires = 0", "16: job 'nightly', key 'expires'"),
    ],
)
def test_load_schedule__wrong_entry__one_error_with_its_place(
    old: str, new: str, place: str, schedule_file: Path
) -> None:
    write(schedule_file, old, new)

    with pytest.raises(InvalidSchedule) as caught:
        load_schedule(schedule_file)

    assert f"{schedule_file}" in str(caught.value)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"a = " + b"[" * 20_000, b"a = " + b"9" * 5_000, b"# " + b"x" * 200_000, b"jobs = 3", b"jobs.a = 3"],
    ids=["bytes", "depth", "digits", "size", "number", "job is a number"],
)
def test_load_schedule__hostile_file__one_declared_error(content: bytes, schedule_file: Path) -> None:
    schedule_file.write_bytes(content)

    with pytest.raises(InvalidSchedule):
        load_schedule(schedule_file)


def test_load_schedule__missing_file__says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidSchedule, match="there is no such file"):
        load_schedule(tmp_path / "absent.toml")


@given(st.text(max_size=200))
def test_load_schedule__any_text__schedule_or_the_declared_error(text: str) -> None:
    path = Path(settings.STATE_DIR) / "fuzzed.toml"
    path.write_text(f"[jobs.x]\n{text}", encoding="utf-8", errors="replace")

    with contextlib.suppress(InvalidSchedule):
        assert load_schedule(path).path == path


@pytest.mark.parametrize(
    ("attempts", "chance", "seconds"), [(1, 0.0, 60), (2, 0.0, 120), (4, 0.0, 480), (6, 0.0, 600), (1, 0.5, 67.5)]
)
def test_delay_seconds__grows_to_the_cap_plus_jitter(attempts: int, chance: float, seconds: float) -> None:
    assert RetryPolicy(9, 60, 2, 600, 15).delay_seconds(attempts, chance) == seconds


# The scheduler's rows


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_sync__first_time__creates_rows(schedule_file: Path) -> None:
    result = sync_schedules(schedule_file, now=NOON)

    row = PeriodicTask.objects.get(name="bundle-guardrail-evaluation")
    assert result.created == ["bundle-guardrail-evaluation", "nightly"]
    assert (row.task, row.enabled, row.expire_seconds) == (GUARDRAILS, True, 270)
    assert row.crontab.minute == "*/5"
    assert ScheduleOrigin.objects.count() == 2


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_sync__fixed_hour__beat_knocks_every_five_minutes_and_the_ledger_keeps_the_hour(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)

    row = PeriodicTask.objects.get(name="nightly")
    job = next(job for job in scheduled_jobs() if job.spec.id == "nightly")
    assert (row.crontab.minute, row.crontab.hour) == ("*/5", "*")
    assert row.kwargs == '{"lookback_days": 30}'
    assert job.spec.cron.expression == "30 2 * * *"
    assert "30 2 * * *" in row.description


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_sync__twice__changes_nothing_and_reuses_crontabs(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)
    crontabs = CrontabSchedule.objects.count()

    result = sync_schedules(schedule_file, now=NOON + MINUTE)

    assert result == SyncResult(unchanged=["bundle-guardrail-evaluation", "nightly"])
    assert CrontabSchedule.objects.count() == crontabs


@pytest.mark.django_db
@pytest.mark.parametrize(
    "switches", [{"CATALOG_JOB_SCHEDULER_ENABLED": False}, {"BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED": False}]
)
def test_sync__switch_turned_off__row_is_disabled_and_enabled_again(
    switches: Mapping[str, bool], schedule_file: Path
) -> None:
    enabled = []
    for overrides in (SWITCHED_ON, {**SWITCHED_ON, **switches}, SWITCHED_ON):
        with override_settings(**overrides):
            sync_schedules(schedule_file, now=NOON)
            enabled.append(PeriodicTask.objects.get(name="bundle-guardrail-evaluation").enabled)

    assert enabled == [True, False, True]


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_sync__edited_in_the_admin_only__edit_stays_silently(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)
    PeriodicTask.objects.filter(name="nightly").update(enabled=False, kwargs='{"lookback_days": 7}')

    result = sync_schedules(schedule_file, now=NOON)

    row = PeriodicTask.objects.get(name="nightly")
    assert (row.enabled, row.kwargs) == (False, '{"lookback_days": 7}')
    assert result.kept == []


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_sync__changed_in_the_file_only__file_wins(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)
    write(schedule_file, "*/5 * * * *", "*/10 * * * *")

    result = sync_schedules(schedule_file, now=NOON)

    assert result.updated == ["bundle-guardrail-evaluation"]
    assert PeriodicTask.objects.get(name="bundle-guardrail-evaluation").crontab.minute == "*/10"


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_sync__changed_in_both__admin_stays_and_is_named_until_forced(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)
    PeriodicTask.objects.filter(name="nightly").update(kwargs='{"lookback_days": 7}')
    write(schedule_file, "lookback_days = 30", "lookback_days = 90")

    first, second = sync_schedules(schedule_file, now=NOON), sync_schedules(schedule_file, now=NOON)
    kept = PeriodicTask.objects.get(name="nightly").kwargs
    forced = sync_schedules(schedule_file, now=NOON, force=True)

    sentence = "nightly: kwargs is {'lookback_days': 7} in the admin and {'lookback_days': 90} in the file"
    assert first.kept[0].startswith(sentence)
    assert second.kept == first.kept
    assert kept == '{"lookback_days": 7}'
    assert forced.kept == []
    assert PeriodicTask.objects.get(name="nightly").kwargs == '{"lookback_days": 90}'


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_sync__interval_edited_in_the_admin__ledger_follows_it(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)
    every_quarter = CrontabSchedule.objects.create(minute="*/15", timezone="UTC")
    PeriodicTask.objects.filter(name="bundle-guardrail-evaluation").update(crontab=every_quarter)

    job = next(job for job in scheduled_jobs() if job.spec.task == GUARDRAILS)

    assert job.spec.cron.expression == "*/15 * * * *"


@pytest.mark.django_db
def test_sync__job_gone_from_the_file__named_and_pruned_on_request(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)
    schedule_file.write_text(SCHEDULE.split("[jobs.nightly]", maxsplit=1)[0])

    named = sync_schedules(schedule_file, now=NOON)
    still_there = PeriodicTask.objects.filter(name="nightly").exists()
    pruned = sync_schedules(schedule_file, now=NOON, prune=True)

    assert named.orphaned == ["nightly"]
    assert still_there
    assert pruned.pruned == ["nightly"]
    assert not PeriodicTask.objects.filter(name="nightly").exists()
    assert not ScheduleOrigin.objects.filter(job="nightly").exists()


@pytest.mark.django_db
def test_sync__dry_run__reports_and_writes_nothing(schedule_file: Path) -> None:
    result = sync_schedules(schedule_file, now=NOON, dry_run=True)

    assert len(result.created) == 2
    assert not ScheduleOrigin.objects.exists()
    assert not PeriodicTask.objects.filter(name="nightly").exists()


@pytest.mark.django_db
def test_sync__bad_file__nothing_written(schedule_file: Path) -> None:
    write(schedule_file, "30 2 * * *", "30 25 * * *")

    with pytest.raises(InvalidSchedule, match="job 'nightly', key 'cron'"):
        sync_schedules(schedule_file, now=NOON)

    assert not ScheduleOrigin.objects.exists()


@pytest.mark.django_db
def test_sync__row_made_by_hand__is_adopted_with_its_values(schedule_file: Path) -> None:
    hourly = CrontabSchedule.objects.create(minute="0", timezone="UTC")
    PeriodicTask.objects.create(name="nightly", task="something.else", crontab=hourly)

    result = sync_schedules(schedule_file, now=NOON)

    assert any(sentence.startswith("nightly: task is 'something.else'") for sentence in result.kept)
    assert PeriodicTask.objects.get(name="nightly").task == "something.else"


# Leases


@pytest.mark.django_db
def test_take_lease__held__refused_until_released() -> None:
    first = take_lease("job:a", owner="one")

    with pytest.raises(LeaseHeld):
        take_lease("job:a", owner="two")

    first.release()
    assert take_lease("job:a", owner="two").token == first.token + 1


@pytest.mark.django_db(transaction=True)
def test_lease__owner_stalled_past_its_end__fenced_off() -> None:
    stalled = take_lease("job:a", owner="one", seconds=0.05)
    time.sleep(0.1)

    successor = take_lease("job:a", owner="two")

    assert not stalled.renew()
    stalled.release()
    with pytest.raises(LeaseHeld):
        take_lease("job:a", owner="three")
    assert successor.renew()


@pytest.mark.django_db(transaction=True)
def test_lease__long_work__is_renewed_meanwhile() -> None:
    with lease("job:a", seconds=0.6):
        time.sleep(1.2)
        with pytest.raises(LeaseHeld):
            take_lease("job:a")

    assert take_lease("job:a").token == 2


@pytest.mark.django_db(transaction=True)
def test_take_lease__many_at_once__one_owner() -> None:
    owners, barrier = list[int](), threading.Barrier(8)

    def take() -> None:
        barrier.wait(10)
        try:
            owners.append(take_lease("job:a").token)
        except LeaseHeld:
            return
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert owners == [1]
    assert JobLease.objects.get().token == 1


# The ledger


@pytest.mark.django_db
def test_run_job__twice_for_one_slot__works_once() -> None:
    calls = list[Any]()

    results = [run_job(SPEC, slot_at=SLOT, trigger="schedule", now=NOON, work=counting(calls)) for _ in range(3)]

    assert [result.outcome for result in results] == ["done", "skipped", "skipped"]
    assert len(calls) == 1
    run = JobRun.objects.get()
    assert (run.outcome, run.attempts, run.counts) == (JobOutcome.DONE, 1, {"done": 1})


@pytest.mark.django_db
def test_run_job__fails__retries_when_its_wait_is_over_then_done() -> None:
    calls = list[Any]()
    failing = counting(calls, RuntimeError("database away"))

    failed = run_job(SPEC, slot_at=SLOT, trigger="schedule", now=NOON, work=failing)
    too_early = run_job(SPEC, slot_at=SLOT, trigger="sweep", now=NOON + dt.timedelta(seconds=4), work=failing)
    done = run_job(SPEC, slot_at=SLOT, trigger="sweep", now=NOON + dt.timedelta(seconds=6), work=counting(calls))

    assert [result.outcome for result in (failed, too_early, done)] == ["failed", "skipped", "done"]
    run = JobRun.objects.get()
    assert (run.attempts, run.error) == (2, "")
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_run_job__last_attempt_fails__dead_with_one_alert() -> None:
    failing = counting([], RuntimeError("no\0 way"))

    outcomes = [
        run_job(SPEC, slot_at=SLOT, trigger="schedule", now=NOON + minute * MINUTE, work=failing).outcome
        for minute in range(5)
    ]

    assert outcomes == ["failed", "failed", "failed", "skipped", "skipped"]
    run = JobRun.objects.get()
    assert (run.outcome, run.attempts) == (JobOutcome.DEAD, 3)
    assert run.error == "RuntimeError: no way"
    assert Alert.objects.get().subject == "Job job-a was given up"


@pytest.mark.django_db
def test_run_job__process_died__next_owner_takes_the_slot_over() -> None:
    claim_slot(SPEC, slot_at=SLOT, trigger="schedule", now=NOON)
    calls = list[Any]()

    result = run_job(SPEC, slot_at=SLOT, trigger="sweep", now=NOON + 2 * MINUTE, work=counting(calls))

    assert result.outcome == "done"
    assert JobRun.objects.get().attempts == 2


@pytest.mark.django_db
def test_run_job__kills_its_process_each_time__given_up_after_five() -> None:
    for minute in range(5):
        assert claim_slot(SPEC, slot_at=SLOT, trigger="schedule", now=NOON + minute * MINUTE) is not None

    result = run_job(SPEC, slot_at=SLOT, trigger="sweep", now=NOON + 9 * MINUTE, work=counting([]))

    assert result.outcome == "skipped"
    assert JobRun.objects.get().outcome == JobOutcome.DEAD
    assert Alert.objects.count() == 1


@pytest.mark.django_db
def test_run_job__older_slot_abandoned__closed_when_a_newer_one_begins() -> None:
    claim_slot(SPEC, slot_at=SLOT, trigger="schedule", now=NOON)

    run_job(SPEC, slot_at=SLOT + 5 * MINUTE, trigger="schedule", now=NOON + 5 * MINUTE, work=counting([]))

    outcomes = dict(JobRun.objects.values_list("slot_at", "outcome"))
    assert outcomes == {SLOT: JobOutcome.FAILED, SLOT + 5 * MINUTE: JobOutcome.DONE}


@pytest.mark.django_db
def test_run_job__first_attempt_wakes_up_late__does_not_overwrite_the_second() -> None:
    def overtaken(**_: Any) -> Work:
        JobRun.objects.update(attempts=2)
        return Work({"by": "the first"})

    run_job(SPEC, slot_at=SLOT, trigger="schedule", now=NOON, work=overtaken)

    run = JobRun.objects.get()
    assert run.outcome == JobOutcome.RUNNING
    assert run.counts == {}


@pytest.mark.django_db(transaction=True)
def test_run_job__many_schedulers_at_once__works_once() -> None:
    calls, barrier = list[Any](), threading.Barrier(6)

    def knock() -> None:
        barrier.wait(10)
        try:
            run_job(SPEC, slot_at=SLOT, trigger="schedule", now=NOON, work=counting(calls))
        finally:
            connection.close()

    threads = [threading.Thread(target=knock) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(calls) == 1
    assert JobRun.objects.get().outcome == JobOutcome.DONE


# What is owed


@pytest.fixture
def quick_work(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace what the jobs do by a note of when they ran; everything around it is real."""
    calls = list[Any]()
    monkeypatch.setattr(running, "WORKERS", dict.fromkeys(running.WORKERS, counting(calls)))
    return calls


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_run_owed__beat_away_for_three_days__each_daily_slot_once_and_the_interval_once(
    schedule_file: Path, quick_work: list[Any]
) -> None:
    sync_schedules(schedule_file, now=NOON)
    back = NOON + dt.timedelta(days=3, minutes=2)

    worked = [
        [result.job for result in run_owed(now=back + tick * dt.timedelta(seconds=5)) if not result.is_skipped]
        for tick in range(6)
    ]

    assert worked[0] == ["bundle-guardrail-evaluation", "nightly"]
    assert worked[1:] == [["nightly"], ["nightly"], [], [], []]
    nights = JobRun.objects.filter(job="nightly").order_by("slot_at").values_list("slot_at", flat=True)
    assert [night.isoformat() for night in nights] == [f"2026-03-0{day}T02:30:00+00:00" for day in (3, 4, 5)]


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_due_slots__interval_just_begun__left_to_the_scheduler_for_a_minute(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)

    fresh = due_slots(NOON + dt.timedelta(seconds=30))
    late = due_slots(NOON + dt.timedelta(seconds=61))

    assert fresh == []
    assert [owed.job.spec.id for owed in late] == ["bundle-guardrail-evaluation"]


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_due_slots__new_daily_job__owes_nothing_before_it_was_made(schedule_file: Path) -> None:
    sync_schedules(schedule_file, now=NOON)

    before = due_slots(NOON + dt.timedelta(hours=14))
    after = due_slots(NOON + dt.timedelta(hours=15))

    assert "nightly" not in [owed.job.spec.id for owed in before]
    assert "nightly" in [owed.job.spec.id for owed in after]


@pytest.mark.django_db
@pytest.mark.parametrize("off", sorted(SWITCHED_ON))
def test_due_slots__switched_off__owes_nothing(off: str, schedule_file: Path) -> None:
    with override_settings(**{**SWITCHED_ON, off: False}):
        sync_schedules(schedule_file, now=NOON)
        owed = {slot.job.spec.task for slot in due_slots(NOON + dt.timedelta(days=1, minutes=2))}

    left = {"CATALOG_JOB_SCHEDULER_ENABLED": set[str](), "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED": {GUARDRAILS}}
    assert owed == left.get(off, {BACKFILL})


@pytest.mark.django_db
@override_settings(**SWITCHED_ON)
def test_run_task__without_a_schedule__usual_hours(quick_work: list[Any]) -> None:
    first = run_task(GUARDRAILS, now=NOON + MINUTE)
    again = run_task(GUARDRAILS, now=NOON + 4 * MINUTE)
    next_slot = run_task(GUARDRAILS, now=NOON + 5 * MINUTE)

    assert [result.outcome for result in (first, again, next_slot)] == ["done", "skipped", "done"]
    assert set(JobRun.objects.values_list("job", flat=True)) == {"bundle-guardrail-evaluation"}


@pytest.mark.django_db
@override_settings(**{**SWITCHED_ON, "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED": False})
def test_run_task__switched_off__does_nothing(quick_work: list[Any]) -> None:
    result = run_task(GUARDRAILS, now=NOON)

    assert (result.is_skipped, result.reason) == (True, "switched off")
    assert quick_work == []
    assert not JobRun.objects.exists()
