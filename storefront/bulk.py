"""Every experiment's decision for one visitor in one pass: what the bulk routes of all protocols answer from.

For each snapshot the decisions that can come out are made once, and each protocol keeps its text of them beside them.
A request computes all buckets together, picks, and joins ready texts; it decides exactly as `decisions.decide` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from catalog_experiments.assignment import Range, SaltBank, choose_variant, in_ranges
from storefront import decisions
from storefront.decisions import Decision
from storefront.document import Plan, Snapshot, reader

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
        plans = tuple(plans)
        running = [plan for plan in plans if plan.status == "running"]
        seeds = [seed for plan in running for seed in (plan.salt, *(item.seed for item in plan.filters))]
        places = {seed: place for place, seed in enumerate(dict.fromkeys(seeds))}
        self._bank = SaltBank(places)
        self._lanes = tuple(
            _RunningLane(plan, places) if plan.status == "running" else _RestingLane(plan) for plan in plans
        )

    def decide(self, unit_id: str, context: Mapping[str, Any]) -> list[Ready]:
        """Return one ready decision for each experiment; one that fails becomes its control with reason ERROR."""
        buckets = self._bank.buckets(unit_id)
        attributes = {**context, "id": unit_id}
        found = []
        for lane in self._lanes:
            try:
                found.append(lane.pick(unit_id, attributes, buckets))
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

    def pick(self, unit_id: str, attributes: Mapping[str, Any], buckets: Sequence[int]) -> Ready:
        """Return the one decision."""
        return self.fault


class _RunningLane:
    """A running experiment: the order of the checks is that of `decisions`."""

    __slots__ = ("_control", "_filters", "_forced", "_is_shadowed", "_place", "_ranges", "_split", "_targets", "fault")

    def __init__(self, plan: Plan, places: Mapping[str, int]) -> None:
        self.fault = Ready(decisions.control(plan, "ERROR"))
        self._control = Ready(decisions.control(plan, "STATIC"))
        self._split = tuple(Ready(decisions.decision_of(plan, variant, "SPLIT")) for variant in plan.variants)
        self._forced = {
            unit: Ready(found) for unit, key in plan.forced.items() if (found := decisions.force(plan, key))
        }
        self._filters: tuple[tuple[int, tuple[Range, ...]], ...] = tuple(
            (places[item.seed], item.ranges) for item in plan.filters
        )
        self._place, self._ranges = places[plan.salt], plan.ranges
        self._targets, self._is_shadowed = plan.targets, plan.is_shadowed

    def pick(self, unit_id: str, attributes: Mapping[str, Any], buckets: Sequence[int]) -> Ready:
        """Return the visitor's decision."""
        if self._forced and (forced := self._forced.get(unit_id)):
            return forced
        if self._is_shadowed or not self._is_eligible(attributes, buckets):
            return self._control
        position = choose_variant(self._ranges, buckets[self._place])
        return self._control if position is None else self._split[position]

    def _is_eligible(self, attributes: Mapping[str, Any], buckets: Sequence[int]) -> bool:
        for place, ranges in self._filters:
            if not in_ranges(buckets[place], ranges):
                return False
        return self._targets is None or self._targets(attributes)


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
