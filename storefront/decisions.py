"""Which variant this visitor gets: unit and context in, a decision out. First step of the walk.

The order is fixed: forced list, holdout, exclusion group, targeting, coverage, variant. Whatever goes wrong, the
answer is control and the visitor is not enrolled; nothing here raises, asks the database or waits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from catalog_experiments.assignment import bucket, choose_variant, in_ranges
from storefront.document import reader
from storefront.plans import Plan, PlannedVariant, Snapshot

logger = logging.getLogger(__name__)

Reason = Literal["SPLIT", "STATIC", "TARGETING_MATCH", "DISABLED", "ERROR"]


class Decision(NamedTuple):
    """What a visitor gets, and why.

    `bundle` is the offer as in the document, None for no offer; neither it nor `payload` may be changed, all requests
    share them. Only an enrolled visitor (reason SPLIT) may be exposed. `bucket` is in [0, 9999], None when the
    decision did not get that far. `product_slug` names the page of the slot. `is_holdout`: kept out of all variants on
    purpose; the slot is recorded like an exposure, marked, and counts in no result.
    """

    experiment: str
    variant_key: str
    bundle: Mapping[str, Any] | None
    payload: Mapping[str, Any]
    reason: Reason
    is_enrolled: bool
    phase: int
    document_version: int
    bucket: int | None
    product_slug: str = ""
    is_holdout: bool = False


def decide(
    unit_id: str, context: Mapping[str, Any], *, slug: str | None = None, product_slug: str | None = None
) -> Decision | None:
    """Decide for one visitor, either for an experiment by `slug` or for the slot on the page of `product_slug`.

    `context` holds the visitor's attributes for targeting. None means that the document knows no such experiment, or
    none on that page. Without a fresh document the answer is control with reason ERROR. Never raises.
    """
    try:
        held = reader()
        snapshot = held.current()
        if snapshot is None:
            return _unavailable(held.last_seen(), slug=slug, product_slug=product_slug)
        plan = find_plan(snapshot, slug=slug, product_slug=product_slug)
        return None if plan is None else decide_with(plan, unit_id, context)
    except Exception:
        logger.exception("a decision failed and became control")
        return _nothing_known(slug)


def find_plan(snapshot: Snapshot, *, slug: str | None = None, product_slug: str | None = None) -> Plan | None:
    """Return the experiment named, or the one that owns the slot on a product page; None when there is none."""
    if slug is not None:
        return snapshot.plans.get(slug)
    return snapshot.slots.get(product_slug or "")


def decide_with(plan: Plan, unit_id: str, context: Mapping[str, Any]) -> Decision:
    """Decide for one visitor of a known experiment. Never raises."""
    try:
        return _decide_running(plan, unit_id, context) if plan.status == "running" else _decide_at_rest(plan)
    except Exception:
        logger.exception("experiment %s: a decision failed and became control", plan.slug)
        return control(plan, "ERROR")


def control(plan: Plan, reason: Reason, at_bucket: int | None = None) -> Decision:
    """Return the experiment's control for a visitor who is not enrolled."""
    return decision_of(plan, plan.control, reason, at_bucket)


def control_of_slot(product_slug: str) -> Decision | None:
    """Return what a visitor outside every experiment sees on a page, a bot for one; None when nothing runs there."""
    snapshot = reader().current()
    plan = None if snapshot is None else find_plan(snapshot, product_slug=product_slug)
    if plan is None:
        return None
    return control(plan, "STATIC") if plan.status == "running" else _decide_at_rest(plan)


def force(plan: Plan, variant_key: str) -> Decision | None:
    """Return a variant somebody asked to see, never enrolled; None when the experiment has no such variant."""
    variant = plan.variant(variant_key)
    return None if variant is None else decision_of(plan, variant, "TARGETING_MATCH", None)


def _decide_running(plan: Plan, unit_id: str, context: Mapping[str, Any]) -> Decision:
    if plan.forced and (forced := plan.variant(plan.forced.get(unit_id))):
        return decision_of(plan, forced, "TARGETING_MATCH", None)
    if plan.is_shadowed:
        return control(plan, "STATIC")
    if plan.holdouts and is_held_out(plan, unit_id):
        return held_out(plan)
    if not _is_eligible(plan, unit_id, context):
        return control(plan, "STATIC")
    unit_bucket = bucket(plan.salt, unit_id)
    position = choose_variant(plan.ranges, unit_bucket)
    if position is None:
        return control(plan, "STATIC", unit_bucket)
    return decision_of(plan, plan.variants[position], "SPLIT", unit_bucket)


def is_held_out(plan: Plan, unit_id: str) -> bool:
    """Say whether a holdout keeps the visitor out of the experiment."""
    return any(in_ranges(bucket(item.seed, unit_id), item.ranges) for item in plan.holdouts)


def held_out(plan: Plan) -> Decision:
    """Return the control for a visitor whom a holdout keeps out of all variants."""
    return control(plan, "STATIC")._replace(is_holdout=True)


def passes_gates(plan: Plan, unit_id: str) -> bool:
    """Say whether the visitor lies in the experiment's part of its exclusion group; True without a group."""
    return all(in_ranges(bucket(item.seed, unit_id), item.ranges) for item in plan.gates)


def _is_eligible(plan: Plan, unit_id: str, context: Mapping[str, Any]) -> bool:
    if plan.gates and not passes_gates(plan, unit_id):
        return False
    return plan.targets is None or plan.targets({**context, "id": unit_id})


def _decide_at_rest(plan: Plan) -> Decision:
    if plan.status == "paused":
        return control(plan, "DISABLED")
    if plan.status == "completed":
        return decision_of(plan, plan.variant(plan.shipped_key) or plan.control, "STATIC", None)
    return control(plan, "ERROR")


def decision_of(plan: Plan, variant: PlannedVariant, reason: Reason, at_bucket: int | None = None) -> Decision:
    """Return the decision for one of the plan's variants; only SPLIT enrols."""
    return Decision(
        plan.slug,
        variant.key,
        variant.bundle,
        variant.payload,
        reason,
        reason == "SPLIT",
        plan.phase,
        plan.document_version,
        at_bucket,
        plan.product_slug,
    )


def _unavailable(stale: Snapshot | None, *, slug: str | None, product_slug: str | None) -> Decision:
    # What is held may be hours old, but which variant is the control does not change within an experiment.
    plan = None if stale is None else find_plan(stale, slug=slug, product_slug=product_slug)
    if plan is None:
        return _nothing_known(slug)
    return control(plan, "ERROR") if plan.status == "running" else _decide_at_rest(plan)


def _nothing_known(slug: str | None) -> Decision:
    return Decision(slug or "", "", None, {}, "ERROR", is_enrolled=False, phase=0, document_version=0, bucket=None)
