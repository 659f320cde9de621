"""The list itself: every check once, in the order in which a person would work through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from catalog_experiments.models import Experiment
from catalog_experiments.preflight.canary import check_canary
from catalog_experiments.preflight.launch import Check, Launch, read_launch
from catalog_experiments.preflight.persistence import check_pause_rule
from catalog_experiments.preflight.readiness import (
    check_acceptance,
    check_backfill,
    check_jobs,
    check_prices,
    check_stock,
    check_threshold,
)
from catalog_experiments.preflight.soundness import (
    check_bundles,
    check_exclusion_group,
    check_guardrails,
    check_payloads,
    check_slot,
    check_targeting,
    check_variants,
    check_weights,
)
from catalog_experiments.preflight.timing import check_ramp, check_schedule, check_timetable
from catalog_experiments.preflight.traffic import check_traffic

CHECKS: tuple[Callable[[Launch], Check], ...] = (
    check_variants,
    check_weights,
    check_bundles,
    check_payloads,
    check_canary,
    check_guardrails,
    check_pause_rule,
    check_targeting,
    check_exclusion_group,
    check_slot,
    check_schedule,
    check_ramp,
    check_timetable,
    check_acceptance,
    check_backfill,
    check_jobs,
    check_threshold,
    check_prices,
    check_stock,
    check_traffic,
)


def run_preflight(experiment: Experiment, *, now: datetime) -> tuple[Check, ...]:
    """Check an experiment as the next publish or resume would make it, pending edits included; writes nothing.

    Returns one entry per check, passed ones too, in a fixed order.
    """
    launch = read_launch(experiment, now=now)
    return tuple(check(launch) for check in CHECKS)


def failures(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks that block a publish."""
    return tuple(check for check in checks if check.outcome == "fail")


def warnings(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks that a publish asks about."""
    return tuple(check for check in checks if check.outcome == "warn")
