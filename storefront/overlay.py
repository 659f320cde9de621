"""The staff overlay of a product page: which experiments touch it, why this visitor sees this, and how it goes.

Shown to insiders alone; shoppers get none of it, not even in the page source.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from catalog_experiments import publication
from catalog_experiments.publication import ExperimentBadge, VariantBadge
from storefront import decisions, document
from storefront.decisions import Decision
from storefront.insiders import Access, sign_link
from storefront.models import Product
from storefront.offers import Slot
from storefront.plans import Plan
from storefront.visitors import Visitor

SOURCE = "catalog-experiment-service"
WORDS = {
    "min_acceptance_rate": "fewer take the offer than the limit allows",
    "max_acceptance_rate": "more take the offer than the limit allows",
    "max_drop_vs_control": "fewer buy than with the control, beyond the limit",
}


@dataclass(frozen=True)
class BundleEntry:
    """One experiment's variant on a bundle, with its latest telemetry; acceptance is a fraction."""

    experiment_slug: str
    experiment_name: str
    status: str
    variant_key: str
    is_control: bool
    guardrail_breached: bool
    acceptance_rate: float | None
    sample_size: int


@dataclass(frozen=True)
class Chip:
    """An experiment on this page: state names the color and icon, text says it in words."""

    state: str
    text: str


@dataclass(frozen=True)
class Choice:
    """A variant that can be forced."""

    key: str
    name: str
    is_shown: bool


@dataclass(frozen=True)
class Overlay:
    """Everything the panel shows. `decision` is None where no experiment owns the slot; `shown` is its telemetry."""

    chips: tuple[Chip, ...]
    mark: str
    decision: Decision | None
    span: tuple[int, int] | None
    bundle_slug: str
    document_version: int
    document_age_seconds: float
    shown: ExperimentBadge | None
    limits: str
    warnings: tuple[str, ...]
    choices: tuple[Choice, ...]
    valid_until: dt.datetime | None
    link_token: str
    force_token: str
    is_forced: bool
    source: str = SOURCE


def decide_for(access: Access, product: Product, visitor: Visitor) -> Decision | None:
    """Return what this page shows to somebody with access: the forced variant, else the visitor's own."""
    plan = _plan_of(product)
    forced = None if plan is None else decisions.force(plan, access.forced.get(plan.slug, ""))
    return forced or decisions.decide(visitor.id, visitor.context, product_slug=product.slug)


def build_overlay(product: Product, slot: Slot, access: Access, *, now: dt.datetime) -> Overlay:
    """Return the panel for a page view; reads telemetry in a handful of queries."""
    badges = publication.telemetry_badges()
    recommended = {bundle for badge in badges if badge.anchor_product_slug == product.slug for bundle in badge.bundles}
    here = filter_for_recommendations(badges, recommended)
    plan = _plan_of(product)
    shown = next((badge for badge in here if slot.decision and badge.slug == slot.decision.experiment), None)
    return Overlay(
        chips=tuple(_chip(badge, slot.decision) for badge in here),
        mark=_mark(slot),
        decision=slot.decision if slot.decision and slot.decision.experiment else None,
        span=_span(plan, slot.decision),
        bundle_slug=slot.offer.bundle_slug if slot.offer else "",
        document_version=_held_version(),
        document_age_seconds=document.reader().age_seconds(),
        shown=shown,
        limits=_limits(shown),
        warnings=_warnings(here),
        choices=_choices(plan, slot.decision),
        valid_until=access.valid_until,
        link_token=sign_link(access.forced),
        force_token=_force_token(slot.decision),
        is_forced=bool(slot.decision and access.forced.get(slot.decision.experiment)),
    )


def filter_for_recommendations(
    badges: Sequence[ExperimentBadge], bundle_slugs: Collection[str]
) -> tuple[ExperimentBadge, ...]:
    """Keep the experiments with a variant on a recommended bundle; all of them when nothing is recommended."""
    if not bundle_slugs:
        return tuple(badges)
    return tuple(badge for badge in badges if not badge.bundles.isdisjoint(bundle_slugs))


def index_by_bundle(badges: Iterable[ExperimentBadge]) -> dict[str, list[BundleEntry]]:
    """Return each bundle's experiments and variants, with their latest telemetry; variants without a bundle skipped."""
    entries: dict[str, list[BundleEntry]] = {}
    for badge in badges:
        for variant in badge.variants:
            if variant.bundle_slug:
                entries.setdefault(variant.bundle_slug, []).append(_entry(badge, variant))
    return entries


def has_guardrail_breaches(entries: Iterable[BundleEntry]) -> bool:
    """Say whether any entry is flagged or belongs to a paused experiment; False for none."""
    return any(entry.guardrail_breached or entry.status == "paused" for entry in entries)


def _entry(badge: ExperimentBadge, variant: VariantBadge) -> BundleEntry:
    return BundleEntry(
        badge.slug,
        badge.name,
        badge.status,
        variant.key,
        variant.is_control,
        variant.guardrail_breached,
        variant.acceptance_rate,
        variant.sample_size,
    )


def _chip(badge: ExperimentBadge, decision: Decision | None) -> Chip:
    if badge.status != "running":
        served = {"paused": "paused, control shown", "completed": "completed", "draft": "draft, not live"}
        is_alarm = badge.status == "paused" and badge.state in {"breached", "outage"}
        return Chip(badge.state if is_alarm else badge.status, f"{badge.slug}: {served[badge.status]}")
    is_shown = decision is not None and decision.experiment == badge.slug
    variant = f"{decision.variant_key}, " if is_shown and decision else ""
    return Chip(badge.state, f"{badge.slug}: {variant}{badge.state}")


def _mark(slot: Slot) -> str:
    decision = slot.decision
    if decision is None or not decision.experiment:
        return "the shop's own offer"
    return f"{decision.experiment}: {decision.variant_key}{', fallback' if slot.is_fallback else ''}"


def _span(plan: Plan | None, decision: Decision | None) -> tuple[int, int] | None:
    if plan is None or decision is None or decision.bucket is None or decision.experiment != plan.slug:
        return None
    keys = [variant.key for variant in plan.variants]
    start, end = plan.ranges[keys.index(decision.variant_key)]
    return start, end - 1


def _warnings(badges: Sequence[ExperimentBadge]) -> tuple[str, ...]:
    entries = index_by_bundle(badges)
    if not any(has_guardrail_breaches(of_bundle) for of_bundle in entries.values()):
        return ()
    return tuple(sentence for badge in badges for sentence in _warnings_of(badge))


def _warnings_of(badge: ExperimentBadge) -> list[str]:
    if badge.status not in {"running", "paused"}:
        return []
    flagged = [
        f"{badge.slug}, {variant.key}: {WORDS.get(reason, reason)}."
        for variant in badge.variants
        for reason in variant.breach_reasons
        if reason != "sample_size"  # too few orders yet is no trouble
    ]
    paused = (
        [f"{badge.slug} is paused: {badge.pause_reason or 'no reason was given'}"] if badge.status == "paused" else []
    )
    return paused + flagged


def _limits(badge: ExperimentBadge | None) -> str:
    if badge is None:
        return ""
    words = {
        "min_acceptance_rate": "at least {:.0%}",
        "max_acceptance_rate": "at most {:.0%}",
        "max_drop_vs_control": "at most {:.0%} below control",
    }
    config = badge.guardrail_config
    limits = [text.format(config[name]).replace("%", " %") for name, text in words.items() if config.get(name)]
    return f"Guardrail {', '.join(limits)}: {badge.state}." if limits else "No guardrail on acceptance."


def _choices(plan: Plan | None, decision: Decision | None) -> tuple[Choice, ...]:
    if plan is None:
        return ()
    shown = decision.variant_key if decision and decision.experiment == plan.slug else ""
    return tuple(Choice(item.key, item.key.replace("-", " ").capitalize(), item.key == shown) for item in plan.variants)


def _force_token(decision: Decision | None) -> str:
    if decision is None or not decision.experiment:
        return ""
    return publication.sign_force_link(decision.experiment, decision.variant_key)


def _plan_of(product: Product) -> Plan | None:
    snapshot = document.reader().current()
    return None if snapshot is None else decisions.find_plan(snapshot, product_slug=product.slug)


def _held_version() -> int:
    snapshot = document.reader().last_seen()
    return 0 if snapshot is None else snapshot.version
