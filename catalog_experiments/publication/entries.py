"""Each published experiment as the document holds it, read in three queries however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from django.db.models import TextField
from django.db.models.functions import Cast

from catalog_experiments.models import Bundle, Experiment, ExperimentStatus, PhaseOrigin
from catalog_experiments.phases.snapshots import offer, split
from catalog_experiments.publication.exclusion import Exclusions, read_exclusions
from catalog_experiments.publication.slots import SINCE, WAITS

_JSON_COLUMNS = ("targeting", "forced_units", "metadata", "variants")


def read_entries() -> list[dict[str, Any]]:
    """Return the entries of all experiments that were published; seeded and imported ones are none of them."""
    rows = [_decoded(row) for row in _rows()]
    bundles = _live_bundles(rows)
    shadowed, exclusions = _shadowed(rows), read_exclusions()
    return [_entry(row, bundles, exclusions, is_shadowed=row["slug"] in shadowed) for row in rows]


def _rows() -> Iterable[Mapping[str, Any]]:
    published = Experiment.objects.exclude(status=ExperimentStatus.DRAFT)
    return (
        published.filter(current_phase__origin=PhaseOrigin.PUBLISHED)
        .order_by("pk")
        .values(
            "slug",
            "status",
            "coverage",
            "published_at",
            "started_at",
            "current_phase__salt",
            "current_phase__number",
            "current_phase__anchor_product_slug",
            "winner__key",
            "exclusion_group_id",
            "exclusion_group__salt",
            "exclusion_start",
            "exclusion_end",
            targeting_text=Cast("targeting", TextField()),
            forced_units_text=Cast("forced_units", TextField()),
            metadata_text=Cast("metadata", TextField()),
            variants_text=Cast("current_phase__variants", TextField()),
        )
    )


def _decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row} | {name: orjson.loads(row[f"{name}_text"]) for name in _JSON_COLUMNS}


def _live_bundles(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    # Where nothing is measured any more, the page shows the bundle as it is now, not as it was in the phase.
    idle = [row for row in rows if row["status"] != ExperimentStatus.RUNNING]
    slugs = {variant["bundle_slug"] for row in idle for variant in row["variants"]}
    return {bundle.bundle_slug: offer(bundle) for bundle in Bundle.objects.filter(bundle_slug__in=slugs - {None})}


def _shadowed(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the slugs of running experiments without the slot of their page."""
    taken, shadowed = set[str](), set[str]()
    running = [row for row in rows if row["status"] == ExperimentStatus.RUNNING]
    for row in sorted(running, key=_turn):
        anchor, waits = row["current_phase__anchor_product_slug"], row["metadata"].get(WAITS) is True
        if waits or anchor in taken:
            shadowed.add(row["slug"])
        elif anchor:
            taken.add(anchor)
    return shadowed


def _turn(row: Mapping[str, Any]) -> str:
    return str(row["metadata"].get(SINCE) or _iso(row["started_at"]) or "")


def _entry(
    row: Mapping[str, Any], bundles: Mapping[str, dict[str, Any]], exclusions: Exclusions, *, is_shadowed: bool
) -> dict[str, Any]:
    shown = bundles if row["status"] != ExperimentStatus.RUNNING else {}
    shares = split(row["variants"], row["coverage"])
    return {
        "slug": row["slug"],
        "status": row["status"],
        "salt": row["current_phase__salt"],
        "phase": row["current_phase__number"],
        "anchor_product_slug": row["current_phase__anchor_product_slug"],
        "published_at": _iso(row["published_at"]),
        "coverage": shares.coverage,
        "variants": [
            {
                "key": variant["key"],
                "is_control": variant["is_control"],
                "range": list(span),
                "bundle": shown.get(variant["bundle_slug"], variant["bundle"]),
                "payload": variant["override_payload"],
            }
            for variant, span in zip(row["variants"], shares.ranges, strict=True)
        ],
        "targeting": row["targeting"],
        "forced": row["forced_units"],
        "filters": exclusions.filters(row),
        "holdouts": exclusions.holdouts(row),
        "shadowed": is_shadowed,
        "shipped_variant": row["winner__key"],
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
