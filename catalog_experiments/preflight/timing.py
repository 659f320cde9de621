"""Checks on what the clock will do: the scheduled end, and the ramp by which the traffic grows."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.conf import settings

from catalog_experiments.drafting.validation import ramp_errors
from catalog_experiments.models import JobOutcome, JobRun
from catalog_experiments.preflight.launch import JOBS_URL, Check, Launch
from catalog_experiments.preflight.readiness import WATCHED
from catalog_experiments.ramp_plans import parse_plan
from catalog_experiments.shop_time import both_clocks

TIMETABLE_JOB = "experiment-timetable"


def check_schedule(launch: Launch) -> Check:
    """A scheduled end that lies ahead: else the experiment would end within a minute."""
    end_at = launch.spec.scheduled_end_at
    if end_at is None:
        return launch.passed("schedule", "No scheduled end: it runs until somebody completes it.")
    told = both_clocks(end_at, ZoneInfo(settings.CATALOG_SHOP_TIME_ZONE))
    faults = [f"The scheduled end, {told}, is past; set a later one, or none."] if end_at <= launch.now else []
    return launch.found("schedule", faults, f"It ends by itself on {told}.", outcome="fail")


def check_timetable(launch: Launch) -> Check:
    """Somebody who looks at the clock, where the clock is to do anything."""
    spec = launch.spec
    planned = (spec.scheduled_start_at, spec.scheduled_end_at, spec.ramp_plan, spec.stop_at_planned_sample)
    if not (any(planned) or spec.is_canary):
        return launch.passed("timetable", "Nothing is left to the clock.")
    runs = JobRun.objects.filter(job=TIMETABLE_JOB, outcome=JobOutcome.DONE, started_at__gte=launch.now - WATCHED)
    faults = [] if runs.exists() else ["The timetable job has not run for an hour: no start, end or step would come."]
    sound = "The timetable job looks at the clock."
    return launch.found("timetable", faults, sound, outcome="warn", fix_url=JOBS_URL)


def check_ramp(launch: Launch) -> Check:
    """A ramp plan whose every coverage splits by the weights."""
    faults = [f"{error.field}: {error.message}" for error in ramp_errors(launch.spec)]
    if faults or not launch.spec.ramp_plan:
        return launch.found("ramp", faults, "No ramp: all of the coverage at once.", outcome="fail")
    shares = ", ".join(f"{step.coverage / 100:g} %" for step in parse_plan(launch.spec.ramp_plan))
    return launch.passed("ramp", f"Coverage grows step by step: {shares}.")
