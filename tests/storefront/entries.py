"""Entries of a published document, written by hand so that decisions are tested without a database."""

from __future__ import annotations

import copy
from typing import Any

BUNDLE: dict[str, Any] = {
    "slug": "cup-and-saucer",
    "title": "Take the saucer with the cup",
    "description": "Fired together.",
    "savings_copy": "Save 10 %",
    "components": [{"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 1}],
    "price_minor": 3240,
    "currency": "EUR",
}


def make_entry(**overrides: Any) -> dict[str, Any]:
    """Make a running experiment on the cup's page, half control without offer, half test with the bundle."""
    entry: dict[str, Any] = {
        "slug": "cup-saucer",
        "status": "running",
        "salt": "seed",
        "phase": 1,
        "anchor_product_slug": "cup",
        "published_at": "2026-03-02T12:00:00+00:00",
        "coverage": 10_000,
        "variants": [make_variant("control", 0, 5_000, bundle=None), make_variant("test", 5_000, 10_000)],
        "targeting": {},
        "forced": {},
        "filters": [],
        "shadowed": False,
        "shipped_variant": None,
    }
    return entry | overrides


def make_variant(key: str, start: int, end: int, **overrides: Any) -> dict[str, Any]:
    """Make one variant with its range of buckets; the first key is the control."""
    variant = {
        "key": key,
        "is_control": key == "control",
        "range": [start, end],
        "bundle": copy.deepcopy(BUNDLE),
        "payload": {},
    }
    return variant | overrides


def make_document(*entries: dict[str, Any], version: int = 7) -> dict[str, Any]:
    """Make a document of these entries."""
    return {"version": version, "issued_at": "2026-03-02T12:00:00+00:00", "experiments": list(entries)}
