"""Read a schedule file (TOML): whole, or refused whole with one sentence that names the place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings

from catalog_experiments.scheduling.cron import Cron, InvalidCron
from catalog_experiments.scheduling.jobs import ALIASES, JOBS
from catalog_experiments.scheduling.schedule import SWEEP_CRON, JobSpec, RetryPolicy, Schedule

LARGEST_FILE = 100_000
"""Bytes; a schedule is a page of text, more is a mistake or an attack."""

LONGEST_ID = 100
MOST_ATTEMPTS = 20
LARGEST_ARGUMENT = 3_660


class InvalidSchedule(ValueError):
    """The file cannot be used; the message names file, line, job and key as far as they are known."""

    def __init__(self, path: Path, problem: str, *, job: str = "", key: str = "", line: int | None = None) -> None:
        """Compose the one sentence an operator needs."""
        place = f"{path}:{line}" if line else str(path)
        named = [f"job {job!r}" if job else "", f"key {key!r}" if key else ""]
        super().__init__(": ".join(part for part in (place, ", ".join(filter(None, named)), problem) if part))
        self.job, self.key, self.line = job, key, line


def load_schedule(path: Path) -> Schedule:
    """Read a schedule file.

    Raises:
        InvalidSchedule: missing, too large, not TOML, or one entry is wrong.
    """
    text = _read(path)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits or 10,000 brackets are no TOML errors
        raise InvalidSchedule(path, f"not valid TOML: {error}") from error
    return _Reader(path, text).schedule(content)


def _read(path: Path) -> str:
    if not path.is_file():
        raise InvalidSchedule(path, "there is no such file")
    if path.stat().st_size > LARGEST_FILE:
        raise InvalidSchedule(path, f"larger than {LARGEST_FILE} bytes")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSchedule(path, f"cannot be read: {error}") from error


JOB_KEYS = frozenset(
    {"id", "task", "cron", "kwargs", "expires", "enabled_setting", "queue"} | RetryPolicy.__dataclass_fields__.keys()
)


@dataclass(frozen=True)
class _Reader:
    """Turns the parsed file into jobs and knows where in the text a complaint belongs."""

    path: Path
    text: str

    def schedule(self, content: Mapping[str, Any]) -> Schedule:
        for key in content.keys() - {"timezone", "jobs"}:
            raise self.error("unknown key", key=key)
        zone = self.zone(content.get("timezone", "UTC"))
        jobs = content.get("jobs", {})
        if not isinstance(jobs, dict):
            raise self.error("jobs are tables: [jobs.<name>]", key="jobs")
        specs = tuple(self.job(name, entry, zone) for name, entry in jobs.items())
        self.check_distinct(dict(zip(jobs, specs, strict=True)))
        return Schedule(self.path, specs)

    def job(self, name: str, entry: Any, zone: ZoneInfo) -> JobSpec:
        if not isinstance(entry, dict):
            raise self.error("a job is a table: [jobs.<name>]", job=name)
        for key in sorted(entry.keys() - JOB_KEYS):
            raise self.error("unknown key", job=name, key=key)
        cron = self.cron(name, entry, zone)
        spec = JobSpec(
            id=self.string(name, entry, "id", default=name),
            task=self.task(name, entry),
            cron=cron,
            kwargs=self.kwargs(name, entry),
            retry=self.retry(name, entry),
            enabled_setting=self.switch(name, entry),
            queue=self.queue(name, entry),
            expires_seconds=self.expires(name, entry, cron),
        )
        if not 0 < len(spec.id) <= LONGEST_ID:
            raise self.error(f"between 1 and {LONGEST_ID} characters", job=name, key="id")
        return spec

    def task(self, name: str, entry: Mapping[str, Any]) -> str:
        written = self.string(name, entry, "task")
        task = ALIASES.get(written, written)
        if task not in JOBS:
            known = ", ".join([*JOBS, *ALIASES])
            raise self.error(f"{written!r} is not one of ours; known are {known}", job=name, key="task")
        return task

    def cron(self, name: str, entry: Mapping[str, Any], zone: ZoneInfo) -> Cron:
        try:
            return Cron(self.string(name, entry, "cron"), zone)
        except InvalidCron as error:
            raise self.error(str(error), job=name, key="cron") from error

    def kwargs(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        given = entry.get("kwargs", {})
        if not isinstance(given, dict):
            raise self.error("a table is expected", job=name, key="kwargs")
        known = JOBS[self.task(name, entry)].parameters
        for key, value in given.items():
            if key not in known:
                raise self.error(f"the task takes no argument {key!r}", job=name, key=key)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ARGUMENT:
                problem = f"a whole number between 1 and {LARGEST_ARGUMENT} is expected, not {value!r}"
                raise self.error(problem, job=name, key=key)
        return dict(given)

    def retry(self, name: str, entry: Mapping[str, Any]) -> RetryPolicy:
        given = {key: entry[key] for key in RetryPolicy.__dataclass_fields__ if key in entry}
        for key, value in given.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
                raise self.error(f"a number of at least 0 is expected, not {value!r}", job=name, key=key)
        attempts = given.get("max_attempts", 1)
        if not isinstance(attempts, int) or not 1 <= attempts <= MOST_ATTEMPTS:
            raise self.error(f"between 1 and {MOST_ATTEMPTS} attempts", job=name, key="max_attempts")
        if given.get("backoff_multiplier", 1) < 1:
            raise self.error("at least 1", job=name, key="backoff_multiplier")
        return RetryPolicy(**given)

    def switch(self, name: str, entry: Mapping[str, Any]) -> str:
        switch = self.string(name, entry, "enabled_setting", default=JOBS[self.task(name, entry)].enabled_setting)
        if switch and not isinstance(getattr(settings, switch, None), bool):
            raise self.error(f"{switch!r} is not a setting that is true or false", job=name, key="enabled_setting")
        return switch

    def queue(self, name: str, entry: Mapping[str, Any]) -> str:
        queue = self.string(name, entry, "queue", default="")
        known = [own.name for own in settings.CELERY_TASK_QUEUES]
        if queue and queue not in known:
            raise self.error(f"{queue!r} is not a queue; there are {', '.join(known)}", job=name, key="queue")
        return queue

    def expires(self, name: str, entry: Mapping[str, Any], cron: Cron) -> int:
        # Nine tenths of the interval: after an outage of the broker no pile of old calls is worked off.
        gap = Cron(SWEEP_CRON).shortest_gap_seconds if cron.has_fixed_hour else cron.shortest_gap_seconds
        value = entry.get("expires", max(1, gap * 9 // 10))
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 86_400:
            raise self.error("a whole number of seconds between 1 and 86400", job=name, key="expires")
        return value

    def string(self, name: str, entry: Mapping[str, Any], key: str, default: str | None = None) -> str:
        value = entry.get(key, default)
        if value is None:
            raise self.error("missing", job=name, key=key)
        if not isinstance(value, str):
            raise self.error(f"text is expected, not {value!r}", job=name, key=key)
        return value.strip()

    def zone(self, name: Any) -> ZoneInfo:
        if not isinstance(name, str) or name not in available_timezones():
            raise self.error(f"{name!r} is not a time zone", key="timezone")
        return ZoneInfo(name)

    def check_distinct(self, specs: Mapping[str, JobSpec]) -> None:
        seen: dict[tuple[str, str], str] = {}
        for name, spec in specs.items():
            for key, value in (("id", spec.id), ("task", spec.task)):
                other = seen.setdefault((key, value), name)
                if other != name:
                    raise self.error(f"{value!r} is used by job {other!r} already", job=name, key=key)

    def error(self, problem: str, *, job: str = "", key: str = "") -> InvalidSchedule:
        return InvalidSchedule(self.path, problem, job=job, key=key, line=self.line_of(job, key))

    def line_of(self, job: str, key: str) -> int | None:
        """Find the line of a key of a job, or of its table; None for a file written in an unusual form."""
        heading, found, inside = f"jobs.{job}" if job else "", None, not job
        for number, line in enumerate(self.text.splitlines(), start=1):
            stripped = line.strip().replace('"', "").replace("'", "")
            if stripped.startswith("["):
                table = stripped.strip("[] ").split("]")[0]
                inside = table == heading or (bool(job) and table.startswith(f"{heading}."))
                found = number if table == heading or (table == f"{heading}.{key}") else found
            elif inside and key and stripped.split("=")[0].strip() == key:
                return number
        return found
