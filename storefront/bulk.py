"""Every experiment's decision for one visitor in one pass: what the bulk routes of all protocols answer from.

For each snapshot the decisions that can come out are made once, and each protocol keeps its text of them beside them.
A request computes each bucket, picks, and joins ready texts; it decides exactly as `decisions.decide` does.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from catalog_experiments.assignment import bucket
from storefront import decisions
from storefront.decisions import Decision
from storefront.document import reader
from storefront.plans import Plan, Snapshot

logger = logging.getLogger(__name__)

Render = Callable[[Decision], bytes]


class Ready:
    """A decision that is made already, but for the bucket, with each protocol's text of it."""

    __slots__ = ("_texts", "decision")

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self._texts: dict[Render, bytes] = {}

    def text(self, render: Render) -> bytes:
        """Return what `render` makes of the decision; it is asked once per snapshot."""
        text = self._texts.get(render)
        if text is None:
            text = self._texts[render] = render(self.decision)
        return text


class Lineup:
    """The experiments of one snapshot, in the document's order, laid out for deciding on all of them."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._lanes = tuple(_RunningLane(plan) if plan.status == "running" else _RestingLane(plan) for plan in plans)

    def decide(self, unit_id: str, context: Mapping[str, Any]) -> list[Ready]:
        """Return one ready decision for each experiment; one that fails becomes its control with reason ERROR."""
        attributes = {**context, "id": unit_id}
        found = []
        for lane in self._lanes:
            try:
                found.append(lane.pick(unit_id, attributes))
            except Exception:
                logger.exception("experiment %s: a decision failed and became control", lane.fault.decision.experiment)
                found.append(lane.fault)
        return found

    def stand_in(self) -> list[Ready]:
        """Return what everybody gets while no document is fresh: controls, and what rests as it rests."""
        return [lane.fault for lane in self._lanes]


class _RestingLane:
    """An experiment that answers everybody alike."""

    __slots__ = ("fault",)

    def __init__(self, plan: Plan) -> None:
        self.fault = Ready(decisions.decide_with(plan, "", {}))

    def pick(self, unit_id: str, attributes: Mapping[str, Any]) -> Ready:
        """Return the one decision."""
        return self.fault


class _RunningLane:
    """A running experiment: the order of the checks is that of `decisions`; a bucket is worked out only when needed.

    `_bounds` are the starts and ends of the ranges one after the other, `_by_gap` what a bucket between two of them
    gets.
    """

    __slots__ = (
        "_bounds",
        "_by_gap",
        "_control",
        "_forced",
        "_held_out",
        "_plan",
        "fault",
    )

    def __init__(self, plan: Plan) -> None:
        self.fault = Ready(decisions.control(plan, "ERROR"))
        self._control = Ready(decisions.control(plan, "STATIC"))
        self._bounds, self._by_gap = _gaps(plan, self._control)
        self._forced = {
            unit: Ready(found) for unit, key in plan.forced.items() if (found := decisions.force(plan, key))
        }
        self._held_out = Ready(decisions.held_out(plan))
        self._plan = plan

    def pick(self, unit_id: str, attributes: Mapping[str, Any]) -> Ready:
        """Return the visitor's decision."""
        plan = self._plan
        if self._forced and (forced := self._forced.get(unit_id)):
            return forced
        if plan.is_shadowed:
            return self._control
        if plan.holdouts and decisions.is_held_out(plan, unit_id):
            return self._held_out
        if plan.gates and not decisions.passes_gates(plan, unit_id):
            return self._control
        if plan.targets is not None and not plan.targets(attributes):
            return self._control
        return self._by_gap[bisect_right(self._bounds, bucket(plan.salt, unit_id))]


def _gaps(plan: Plan, control: Ready) -> tuple[list[int], list[Ready]]:
    bounds, by_gap = list[int](), [control]
    for (start, end), variant in sorted(zip(plan.ranges, plan.variants, strict=True), key=lambda pair: pair[0]):
        bounds += (start, end)
        by_gap += (Ready(decisions.decision_of(plan, variant, "SPLIT")), control)
    return bounds, by_gap


_held: tuple[Snapshot, Lineup] | None = None


def decide_all(unit_id: str, context: Mapping[str, Any]) -> list[Ready]:
    """Decide for one visitor on every experiment the document knows, in its order; empty when none is known.

    As `decisions.decide` for each of them, but that no decision carries its bucket. Never raises.
    """
    try:
        held = reader()
        if (snapshot := held.current()) is not None:
            return _lineup(snapshot).decide(unit_id, context)
        stale = held.last_seen()
        return [] if stale is None else _lineup(stale).stand_in()
    except Exception:
        logger.exception("deciding on all experiments failed; the visitor sees the shop without them")
        return []


def _lineup(snapshot: Snapshot) -> Lineup:
    # Two threads that meet a new snapshot together both lay it out; either result is right.
    global _held
    if _held is None or _held[0] is not snapshot:
        _held = (snapshot, Lineup(snapshot.plans.values()))
    return _held[1]
