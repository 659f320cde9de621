"""What is owed and who works it: the schedule file, the scheduler's rows, slots, leases and the ledger of runs.

PostgreSQL says what is owed; Celery only wakes somebody up, and the sweep works without it.
"""

from catalog_experiments.scheduling.beat_rows import ScheduledJob, SyncResult, scheduled_jobs, sync_schedules
from catalog_experiments.scheduling.jobs import (
    AGGREGATION,
    ALIASES,
    BACKFILL,
    CALIBRATION,
    GUARDRAILS,
    JOBS,
    RETENTION,
    SWEEP,
    TIMETABLE,
    VERIFICATION,
)
from catalog_experiments.scheduling.leases import Lease, LeaseHeld, LeaseLost, lease, take_lease
from catalog_experiments.scheduling.ledger import Work, claim_slot
from catalog_experiments.scheduling.runs import (
    JobResult,
    OwedSlot,
    due_slots,
    is_switched_on,
    run_job,
    run_now,
    run_owed,
    run_task,
)
from catalog_experiments.scheduling.schedule import JobSpec, RetryPolicy, Schedule
from catalog_experiments.scheduling.schedule_file import InvalidSchedule, load_schedule

__all__ = [
    "AGGREGATION",
    "ALIASES",
    "BACKFILL",
    "CALIBRATION",
    "GUARDRAILS",
    "JOBS",
    "RETENTION",
    "SWEEP",
    "TIMETABLE",
    "VERIFICATION",
    "InvalidSchedule",
    "JobResult",
    "JobSpec",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "OwedSlot",
    "RetryPolicy",
    "Schedule",
    "ScheduledJob",
    "SyncResult",
    "Work",
    "claim_slot",
    "due_slots",
    "is_switched_on",
    "lease",
    "load_schedule",
    "run_job",
    "run_now",
    "run_owed",
    "run_task",
    "scheduled_jobs",
    "sync_schedules",
    "take_lease",
]
