"""The jobs there are: which task does each, its usual hours and its switch. A schedule file may name no other task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AGGREGATION = "catalog_experiments.tasks.run_aggregation"
GUARDRAILS = "catalog_experiments.tasks.run_guardrail_evaluation"
BACKFILL = "catalog_experiments.tasks.run_backfill"
SWEEP = "catalog_experiments.tasks.sweep_owed_slots"


@dataclass(frozen=True, slots=True)
class KnownJob:
    """What is true of a task when no schedule says otherwise; `parameters` maps its arguments to their types."""

    id: str
    cron: str
    enabled_setting: str = ""
    parameters: Mapping[str, type] = field(default_factory=dict)


JOBS: Mapping[str, KnownJob] = {
    AGGREGATION: KnownJob(
        "bundle-acceptance-aggregation",
        "*/30 * * * *",
        "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED",
        {"lookback_days": int},
    ),
    GUARDRAILS: KnownJob("bundle-guardrail-evaluation", "*/5 * * * *", "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED"),
    BACKFILL: KnownJob(
        "bundle-experiment-backfill",
        "30 2 * * *",
        "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED",
        {"lookback_days": int},
    ),
    SWEEP: KnownJob("owed-slot-sweep", "*/5 * * * *"),
}

ALIASES: Mapping[str, str] = {
    "smplat_api.jobs.bundle_acceptance.run_aggregation": AGGREGATION,
    "smplat_api.jobs.bundle_guardrails.run_guardrail_evaluation": GUARDRAILS,
}
"""The runbook's names of the same tasks."""
