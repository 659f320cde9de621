"""Freeze what visitors see: variants and bundles as plain JSON, for phases and the published document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from catalog_experiments.assignment import AllocationError, Range, allocation
from catalog_experiments.models import Bundle, Variant


def snapshot(variant: Variant) -> dict[str, Any]:
    """Return a variant as a phase keeps it; `baseline` is what the page shows while no experiment runs."""
    return {
        "key": variant.key,
        "name": variant.name,
        "weight": variant.weight,
        "is_control": variant.is_control,
        "bundle_slug": variant.bundle_id,
        "override_payload": variant.override_payload,
        "bundle": offer(variant.bundle) if variant.bundle else None,
        "baseline": variant.bundle.cms_override if variant.bundle else {},
    }


def offer(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle as shoppers see it."""
    return {
        "slug": bundle.bundle_slug,
        "title": bundle.title,
        "description": bundle.description,
        "savings_copy": bundle.savings_copy,
        "components": bundle.components,
        "price_minor": bundle.price_minor,
        "currency": bundle.currency,
    }


def anchor_of(variants: Iterable[Variant]) -> str:
    """Return the product whose page carries the slot; '' while no variant has a bundle."""
    return next((variant.bundle.primary_product_slug for variant in variants if variant.bundle), "")


def ranges_by_key(variants: Sequence[Mapping[str, Any]], coverage: int) -> dict[str, Range]:
    """Return each variant's half-open range of buckets; empty ranges for all when weights and coverage do not fit.

    A row that somebody broke by hand thus serves everyone the control instead of failing a page.
    """
    try:
        ranges = allocation([variant["weight"] for variant in variants], coverage)
    except AllocationError:
        ranges = ((0, 0),) * len(variants)
    return {variant["key"]: span for variant, span in zip(variants, ranges, strict=True)}


def treatment_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Say in what two sets of snapshots differ as a treatment; the names of variants are no part of it."""
    differs = {
        "variants": _column(before, "is_control") != _column(after, "is_control"),
        "weights": ranges_by_key(before, 10_000) != ranges_by_key(after, 10_000),
        "bundles": _column(before, "bundle") != _column(after, "bundle"),
        "payloads": _column(before, "override_payload") != _column(after, "override_payload"),
    }
    return tuple(what for what, is_different in differs.items() if is_different)


def _column(variants: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    return {variant["key"]: variant[name] for variant in variants}
