"""What the published document says, parsed once: a plan for each experiment, in which a decision looks things up."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from catalog_experiments import targeting
from catalog_experiments.assignment import Range

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    """What one variant shows: `bundle` as in the document (None: no offer) and the payload the page applies."""

    key: str
    is_control: bool
    bundle: Mapping[str, Any] | None
    payload: Mapping[str, Any]


def flag_value(bundle: Mapping[str, Any] | None, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variant as SDKs are told of it, always an object: the bundle's slug, None for no offer, and payload."""
    return {"bundle": None if bundle is None else bundle["slug"], "payload": payload}


@dataclass(frozen=True, slots=True)
class Filter:
    """A part of all units by a hash of its own: an exclusion group or what a holdout leaves."""

    seed: str
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One experiment of the document, parsed once so that a decision only looks things up.

    `ranges` and `variants` have the same order, control first. Who is enrolled passes all `filters`: what the holdouts
    leave, then `gates`, the exclusion group; `holdouts` are the parts that are held out. `targets` was compiled from
    `condition`. A plan whose entry could not be understood is `broken`: it serves what is left of its control.
    """

    slug: str
    status: str
    salt: str
    phase: int
    product_slug: str
    document_version: int
    variants: tuple[PlannedVariant, ...]
    ranges: tuple[Range, ...]
    targets: targeting.Predicate | None
    forced: Mapping[str, str]
    filters: tuple[Filter, ...]
    holdouts: tuple[Filter, ...] = ()
    gates: tuple[Filter, ...] = ()
    is_shadowed: bool = False
    shipped_key: str | None = None
    broken: bool = False
    condition: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def control(self) -> PlannedVariant:
        """Return the baseline variant."""
        return self.variants[0]

    def variant(self, key: str | None) -> PlannedVariant | None:
        """Return the variant with this key, or None when there is none."""
        return next((variant for variant in self.variants if variant.key == key), None)

    @property
    def owns_slot(self) -> bool:
        """Say whether the product page should ask this plan: a completed one only while it ships a variant."""
        return not self.is_shadowed and (self.status != "completed" or self.shipped_key is not None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the document; version 0 is an empty one, before anything was published, issued at ''."""

    version: int
    plans: Mapping[str, Plan] = field(default_factory=lambda: MappingProxyType({}))
    slots: Mapping[str, Plan] = field(default_factory=lambda: MappingProxyType({}))
    issued_at: str = ""


def parse(document: Mapping[str, Any] | None) -> Snapshot:
    """Turn a published document into a snapshot; one broken entry never spoils the others. None is the empty one."""
    if document is None:
        return Snapshot(0)
    version = int(document["version"])
    plans = [_parse_entry(entry, version) for entry in document["experiments"]]
    by_slug = {plan.slug: plan for plan in plans if plan is not None}
    slots = _slots(list(by_slug.values()))
    return Snapshot(version, MappingProxyType(by_slug), MappingProxyType(slots), str(document.get("issued_at") or ""))


def _slots(plans: Sequence[Plan]) -> dict[str, Plan]:
    # On one product page a running experiment goes before a paused one, that before a concluded one.
    precedence = {"completed": 0, "paused": 1, "running": 2}
    ordered = sorted((plan for plan in plans if plan.owns_slot), key=lambda plan: precedence.get(plan.status, 0))
    return {plan.product_slug: plan for plan in ordered}


def _parse_entry(entry: Mapping[str, Any], version: int) -> Plan | None:
    try:
        return _plan(entry, version)
    except (AttributeError, KeyError, TypeError, ValueError):
        logger.exception("document %s: one experiment cannot be read and serves control", version)
    try:
        return _broken_plan(entry, version)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _plan(entry: Mapping[str, Any], version: int) -> Plan:
    variants = sorted(entry["variants"], key=lambda variant: not variant["is_control"])
    if not variants or not variants[0]["is_control"]:
        raise ValueError("no control variant")
    filters = tuple(_filter(item) for item in entry.get("filters") or ())
    holdouts = tuple(_filter(item) for item in entry.get("holdouts") or ())
    held_seeds = {item.seed for item in holdouts}
    return Plan(
        slug=str(entry["slug"]),
        status=str(entry["status"]),
        salt=str(entry["salt"]),
        phase=int(entry["phase"]),
        product_slug=str(entry["anchor_product_slug"]),
        document_version=version,
        variants=tuple(_variant(variant) for variant in variants),
        ranges=tuple(_range(variant["range"]) for variant in variants),
        targets=targeting.compile_condition(entry["targeting"]) if entry.get("targeting") else None,
        forced=dict(entry.get("forced") or {}),
        filters=filters,
        holdouts=holdouts,
        gates=tuple(item for item in filters if item.seed not in held_seeds),
        is_shadowed=bool(entry.get("shadowed")),
        shipped_key=entry.get("shipped_variant"),
        condition=dict(entry.get("targeting") or {}),
    )


def _broken_plan(entry: Mapping[str, Any], version: int) -> Plan:
    control = next((_variant(item) for item in entry["variants"] if item.get("is_control")), None)
    return Plan(
        slug=str(entry["slug"]),
        status="broken",
        salt="",
        phase=0,
        product_slug=str(entry["anchor_product_slug"]),
        document_version=version,
        variants=(control or PlannedVariant("control", is_control=True, bundle=None, payload={}),),
        ranges=((0, 0),),
        targets=None,
        forced={},
        filters=(),
        broken=True,
    )


def _variant(variant: Mapping[str, Any]) -> PlannedVariant:
    bundle, payload = variant["bundle"], variant.get("payload") or {}
    return PlannedVariant(
        key=str(variant["key"]),
        is_control=bool(variant["is_control"]),
        bundle=None if bundle is None else dict(bundle),
        payload=dict(payload),
    )


def _filter(item: Mapping[str, Any]) -> Filter:
    return Filter(str(item["seed"]), tuple(_range(pair) for pair in item["ranges"]))


def _range(pair: Sequence[Any]) -> Range:
    start, end = pair
    return int(start), int(end)
