"""Freeze what visitors see: variants and bundles as plain JSON, for phases and the published document."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from catalog_experiments.assignment import BUCKETS, AllocationError, Range, allocation, allowed_coverage
from catalog_experiments.models import Bundle, Variant

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Split:
    """How the buckets are shared out: the coverage in force, in basis points, and a half-open range per variant."""

    coverage: int
    ranges: tuple[Range, ...]


def split(variants: Sequence[Mapping[str, Any]], coverage: int = BUCKETS) -> Split:
    """Return how the variants share the buckets, in their order; where weights do not fit, nobody is enrolled.

    A row that somebody broke by hand thus serves everyone the control instead of failing a page.
    """
    return _split(tuple(variant["weight"] for variant in variants), coverage)


@lru_cache(maxsize=1024)
def _split(weights: tuple[int, ...], coverage: int) -> Split:
    try:
        return Split(allowed_coverage(weights, coverage), allocation(weights, coverage))
    except AllocationError as broken:
        logger.error("weights %s at %d serve the control to everyone: %s", weights, coverage, broken)
        return Split(0, ((0, 0),) * len(weights))


def treatment_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Say in what two sets of snapshots differ as a treatment; the names of variants are no part of it."""
    differs = {
        "variants": _column(before, "is_control") != _column(after, "is_control"),
        "weights": _ranges(before) != _ranges(after),
        "bundles": _column(before, "bundle") != _column(after, "bundle"),
        "payloads": _column(before, "override_payload") != _column(after, "override_payload"),
    }
    return tuple(what for what, is_different in differs.items() if is_different)


def _column(variants: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    return {variant["key"]: variant[name] for variant in variants}


def _ranges(variants: Sequence[Mapping[str, Any]]) -> dict[str, Range]:
    return dict(zip((variant["key"] for variant in variants), split(variants).ranges, strict=True))
