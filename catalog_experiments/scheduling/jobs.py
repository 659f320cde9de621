"""The jobs there are: which task does each, its usual hours and its switch. A schedule file may name no other task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AGGREGATION = "catalog_experiments.tasks.run_aggregation"
GUARDRAILS = "catalog_experiments.tasks.run_guardrail_evaluation"
BACKFILL = "catalog_experiments.tasks.run_backfill"
TIMETABLE = "catalog_experiments.tasks.run_timetable"
VERIFICATION = "catalog_experiments.tasks.run_verification"
RETENTION = "catalog_experiments.tasks.run_retention"
CALIBRATION = "catalog_experiments.tasks.run_calibration"
SWEEP = "catalog_experiments.tasks.sweep_owed_slots"
ALERTS = "notifications.tasks.deliver_due_alerts"
SHOP_ORDERS = "storefront.tasks.report_due_orders"


@dataclass(frozen=True, slots=True)
class KnownJob:
    """What is true of a task when no schedule says otherwise; `parameters` names its arguments, all whole numbers."""

    id: str
    cron: str
    enabled_setting: str = ""
    parameters: frozenset[str] = frozenset()


JOBS: Mapping[str, KnownJob] = {
    AGGREGATION: KnownJob(
        "bundle-acceptance-aggregation",
        "*/30 * * * *",
        "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED",
        frozenset({"lookback_days"}),
    ),
    GUARDRAILS: KnownJob("bundle-guardrail-evaluation", "*/5 * * * *", "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED"),
    BACKFILL: KnownJob(
        "bundle-experiment-backfill",
        "30 2 * * *",
        "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED",
        frozenset({"lookback_days"}),
    ),
    TIMETABLE: KnownJob("experiment-timetable", "* * * * *"),
    VERIFICATION: KnownJob("aggregate-verification", "0 3 * * *", "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED"),
    RETENTION: KnownJob("telemetry-retention", "0 4 * * *"),
    CALIBRATION: KnownJob("canary-calibration", "0 5 * * 1"),
    SWEEP: KnownJob("owed-slot-sweep", "*/5 * * * *"),
    ALERTS: KnownJob("alert-sweep", "* * * * *"),
    SHOP_ORDERS: KnownJob("shop-order-report", "* * * * *"),
}

ALIASES: Mapping[str, str] = {
    "smplat_api.jobs.bundle_acceptance.run_aggregation": AGGREGATION,
    "smplat_api.jobs.bundle_guardrails.run_guardrail_evaluation": GUARDRAILS,
}
"""The runbook's names of the same tasks."""
