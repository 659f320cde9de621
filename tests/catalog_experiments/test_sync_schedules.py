"""manage.py sync_schedules: says what it did, and refuses a bad file with one line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django_celery_beat.models import PeriodicTask

from tests.catalog_experiments.test_scheduling import SCHEDULE

pytestmark = pytest.mark.django_db


@pytest.fixture
def schedule_file(tmp_path: Path) -> Path:
    path = tmp_path / "schedules.toml"
    path.write_text(SCHEDULE)
    return path


def sync(path: Path, *arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("sync_schedules", "--file", str(path), *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_sync_schedules__twice__created_then_unchanged(schedule_file: Path) -> None:
    first, _ = sync(schedule_file)
    second, _ = sync(schedule_file)

    assert first == "2 created, 0 updated, 0 unchanged, 0 pruned\n"
    assert second == "0 created, 0 updated, 2 unchanged, 0 pruned\n"


def test_sync_schedules__scheduler_off__says_that_nothing_will_run(schedule_file: Path) -> None:
    _, warned = sync(schedule_file)

    assert "CATALOG_JOB_SCHEDULER_ENABLED is off" in warned
    assert not PeriodicTask.objects.filter(name="nightly", enabled=True).exists()


def test_sync_schedules__dry_run__writes_nothing(schedule_file: Path) -> None:
    said, _ = sync(schedule_file, "--dry-run")

    assert said == "2 created, 0 updated, 0 unchanged, 0 pruned (dry run: nothing written)\n"
    assert not PeriodicTask.objects.filter(name="nightly").exists()


def test_sync_schedules__edit_against_the_file__kept_and_named_then_forced(schedule_file: Path) -> None:
    sync(schedule_file)
    PeriodicTask.objects.filter(name="nightly").update(queue="control")
    schedule_file.write_text(SCHEDULE.replace('queue = "bulk"', ""))

    _, kept = sync(schedule_file)
    forced, quiet = sync(schedule_file, "--force")

    assert "kept: nightly: queue is 'control' in the admin and '' in the file" in kept
    assert forced.startswith("0 created, 1 updated")
    assert "kept" not in quiet


def test_sync_schedules__job_left_the_file__named_then_pruned(schedule_file: Path) -> None:
    sync(schedule_file)
    schedule_file.write_text(SCHEDULE.split("[jobs.nightly]", maxsplit=1)[0])

    _, warned = sync(schedule_file)
    pruned, _ = sync(schedule_file, "--prune")

    assert "nightly: not in the file any more" in warned
    assert "1 pruned" in pruned


def test_sync_schedules__bad_file__one_line_exit_two(schedule_file: Path) -> None:
    schedule_file.write_text(SCHEDULE.replace("max_attempts = 4", "max_attempts = 0"))

    with pytest.raises(CommandError) as caught:
        sync(schedule_file)

    assert caught.value.returncode == 2
    assert str(caught.value).count("\n") == 0
    assert f"{schedule_file}:8: job 'guardrails', key 'max_attempts'" in str(caught.value)
