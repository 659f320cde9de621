"""The schedule file and the scheduler's rows: write what the file says, keep what people changed in the admin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from catalog_experiments.models import ScheduleOrigin
from catalog_experiments.scheduling.cron import FIELDS, Cron
from catalog_experiments.scheduling.schedule import JobSpec, RetryPolicy
from catalog_experiments.scheduling.schedule_file import load_schedule

SYNC_LOCK = 0x736D_706C_0002
"""Key of the advisory lock that lets one synchronisation run at a time."""

LEDGER = "ledger"
SINCE = "since"


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a synchronisation did, or with a dry run would do, by job id; `kept` says in words which edits it left."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)


def sync_schedules(
    path: Path, *, now: datetime, dry_run: bool = False, force: bool = False, prune: bool = False
) -> SyncResult:
    """Bring the scheduler's rows in line with a schedule file; run twice it changes nothing the second time.

    A job without a row gets one. A field that the file did not change since the last time stays as it is, also when it
    was edited in the admin. A field changed in both keeps the admin's value, and the result says so.

    Args:
        path: the schedule file.
        now: aware, UTC; a new daily job owes no slot before it.
        dry_run: report, then take everything back.
        force: the file wins over every edit.
        prune: delete the rows of jobs that the file does not have any more.

    Raises:
        InvalidSchedule: the file is wrong; nothing was written.
    """
    schedule, result = load_schedule(path), SyncResult()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SYNC_LOCK])
        for spec in schedule.jobs:
            _sync_job(spec, result, force=force, now=now)
        _handle_orphans({spec.id for spec in schedule.jobs}, result, prune=prune)
        if dry_run:
            transaction.set_rollback(True)
    return result


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job as the scheduler runs it now: the file's, with the admin's edits; no slot before `since_at` is owed."""

    spec: JobSpec
    since_at: datetime
    is_enabled: bool


def scheduled_jobs() -> list[ScheduledJob]:
    """Return all jobs that came from a schedule file, ordered by id; one query."""
    origins = ScheduleOrigin.objects.select_related("task__crontab").order_by("job")
    return [_scheduled_job(origin) for origin in origins]


def _scheduled_job(origin: ScheduleOrigin) -> ScheduledJob:
    row, ledger = _row_fields(origin.task), dict(origin.synced_fields[LEDGER])
    synced, slots = origin.synced_fields, ledger.pop("slots")
    # The hours of a daily job live in the file alone; an interval edited in the admin counts.
    cron = slots if row["cron"] in ("", synced["cron"]) else row["cron"]
    spec = JobSpec(
        id=origin.job,
        task=row["task"],
        cron=Cron(cron, ZoneInfo(row["timezone"])),
        kwargs=row["kwargs"],
        retry=RetryPolicy(**ledger),
        expires_seconds=row["expires_seconds"] or 0,
        queue=row["queue"],
    )
    return ScheduledJob(spec, datetime.fromisoformat(synced[SINCE]), row["enabled"])


def _sync_job(spec: JobSpec, result: SyncResult, *, force: bool, now: datetime) -> None:
    origin = ScheduleOrigin.objects.select_related("task__crontab").filter(job=spec.id).first()
    task = origin.task if origin else PeriodicTask.objects.select_related("crontab").filter(name=spec.id).first()
    if task is None:
        _create(spec, now)
        result.created.append(spec.id)
        return
    wanted, synced = spec.row_fields(), origin.synced_fields if origin else {}
    fields, kept = _merged(wanted, synced, _row_fields(task), force=force)
    # A kept edit is remembered as not synced, so that it is named again until somebody decides.
    remembered = {name: synced.get(name) if name in kept else wanted[name] for name in wanted}
    remembered |= {LEDGER: spec.ledger_fields(), SINCE: synced.get(SINCE, now.isoformat())}
    is_changed = fields != _row_fields(task) or remembered != synced
    if is_changed:
        _write_row(task, spec, fields)
        stored = {"task": task, "file_hash": spec.file_hash, "synced_fields": remembered}
        ScheduleOrigin.objects.update_or_create(job=spec.id, defaults=stored)
    result.kept.extend(_conflict(spec, name, fields[name], wanted[name]) for name in kept)
    (result.updated if is_changed else result.unchanged).append(spec.id)


def _merged(
    wanted: Mapping[str, Any], synced: Mapping[str, Any], row: Mapping[str, Any], *, force: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the values to hold and the names of fields where an edit stands against a change of the file."""
    values, kept = dict[str, Any](), list[str]()
    for name, value in wanted.items():
        is_edited = row[name] != synced.get(name)
        is_filed = name not in synced or value != synced[name]
        if force or (is_filed and not is_edited) or value == row[name]:
            values[name] = value
            continue
        values[name] = row[name]
        if is_filed:
            kept.append(name)
    return values, kept


def _conflict(spec: JobSpec, name: str, edited: Any, filed: Any) -> str:
    return f"{spec.id}: {name} is {edited!r} in the admin and {filed!r} in the file; the admin's stays"


def _create(spec: JobSpec, now: datetime) -> None:
    task, fields = PeriodicTask(name=spec.id), spec.row_fields()
    _write_row(task, spec, fields)
    ScheduleOrigin.objects.create(
        task=task,
        job=spec.id,
        file_hash=spec.file_hash,
        synced_fields={**fields, LEDGER: spec.ledger_fields(), SINCE: now.isoformat()},
    )


def _write_row(task: PeriodicTask, spec: JobSpec, fields: Mapping[str, Any]) -> None:
    if fields["cron"]:  # else somebody chose another kind of schedule in the admin, which stays
        cron = dict(zip(FIELDS, fields["cron"].split(), strict=True))
        task.crontab = CrontabSchedule.objects.get_or_create(**cron, timezone=ZoneInfo(fields["timezone"]))[0]
        task.interval = task.solar = task.clocked = None
    task.task = fields["task"]
    task.kwargs = json.dumps(fields["kwargs"])
    task.queue = fields["queue"] or None
    task.expire_seconds = fields["expires_seconds"]
    task.enabled = fields["enabled"]
    task.description = _description(spec)
    task.save()


def _description(spec: JobSpec) -> str:
    if not spec.cron.has_fixed_hour:
        return "From the schedule file."
    return (
        f"From the schedule file: due at {spec.cron.expression} ({spec.cron.zone.key}), looked at every five minutes."
    )


def _row_fields(task: PeriodicTask) -> dict[str, Any]:
    crontab = task.crontab
    return {
        "task": task.task,
        "cron": " ".join(getattr(crontab, name) for name in FIELDS) if crontab else "",
        "timezone": str(crontab.timezone) if crontab else "UTC",
        "kwargs": _kwargs(task),
        "queue": task.queue or "",
        "expires_seconds": task.expire_seconds,
        "enabled": task.enabled,
    }


def _kwargs(task: PeriodicTask) -> Any:
    try:
        return json.loads(task.kwargs or "{}")
    except ValueError:  # edited by hand; the scheduler refuses the row too, other jobs must still be seen
        return {}


def _handle_orphans(known: Iterable[str], result: SyncResult, *, prune: bool) -> None:
    for origin in ScheduleOrigin.objects.select_related("task").exclude(job__in=known).order_by("job"):
        if prune:
            origin.task.delete()
            result.pruned.append(origin.job)
        else:
            result.orphaned.append(origin.job)
