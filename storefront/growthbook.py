"""The published document as GrowthBook's SDKs read it: one feature per experiment, decided in the shop's own process.

An unmodified SDK assigns from it exactly as this server does: same hash, same ranges, same order of the rules. It holds
what a public key may show and nothing else. No event stream is offered, as it would hold a worker's thread per reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from catalog_experiments import targeting
from catalog_experiments.assignment import BUCKETS, Range, equal_weights
from storefront.answers import Answer
from storefront.document import reader
from storefront.plans import Filter, Plan, PlannedVariant, Snapshot, flag_value

_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "public, max-age=30, stale-while-revalidate=60, stale-if-error=600",
    "Access-Control-Allow-Origin": "*",
}
_HASHING = {"hashAttribute": "id", "hashVersion": 2}
_NEVER_PUBLISHED_AT = "1970-01-01T00:00:00+00:00"

Rule = dict[str, Any]


def features() -> Answer:
    """Answer with the whole payload; 503 while no document is held, for an empty one would be believed and cached.

    Past the lease every feature is its control. The ETag leaves out `not_after`, which moves on each second.
    """
    held = reader()
    current = held.current()
    snapshot = current or held.last_seen()
    if snapshot is None:
        problem = {"status": 503, "error": "No experiments are known yet; ask again in a second."}
        return Answer(503, orjson.dumps(problem), {**_HEADERS, "Cache-Control": "no-store"})
    payload = _current_payload(snapshot, is_fresh=current is not None)
    not_after = held.not_after_text()
    body = b'%s,"not_after":"%s"}' % (payload.json[:-1], not_after.encode())
    return Answer(200, body, {**_HEADERS, "ETag": payload.etag})


def feature(plan: Plan, *, is_fresh: bool = True) -> dict[str, Any]:
    """Return one experiment as a feature: control by default, and the rules in the order of the server's decision."""
    return {"defaultValue": _value(plan.control), "rules": _rules(plan) if is_fresh or plan.status != "running" else []}


def _rules(plan: Plan) -> list[Rule]:
    if plan.status == "completed":
        shipped = plan.variant(plan.shipped_key)
        return [{"id": f"shipped-{shipped.key}", "force": _value(shipped)}] if shipped else []
    if plan.status != "running":
        return []
    forced = [rule for variant in plan.variants if (rule := _forced(plan, variant))]
    return forced if plan.is_shadowed or not _is_understood(plan) else [*forced, _experiment(plan)]


def _forced(plan: Plan, variant: PlannedVariant) -> Rule | None:
    unit_ids = sorted(unit_id for unit_id, key in plan.forced.items() if key == variant.key)
    if not unit_ids:
        return None
    return {"id": f"forced-{variant.key}", "condition": {"id": {"$in": unit_ids}}, "force": _value(variant)}


def _value(variant: PlannedVariant) -> dict[str, Any]:
    return flag_value(variant.bundle, variant.payload)


def _is_understood(plan: Plan) -> bool:
    # What the server cannot evaluate is met by nobody; an SDK might read more into it.
    try:
        targeting.validate(plan.condition)
    except targeting.TargetingError:
        return False
    return True


def _experiment(plan: Plan) -> Rule:
    rule = {
        "id": f"{plan.slug}-{plan.phase}",
        "key": plan.slug,
        "name": plan.slug,
        "phase": str(plan.phase),
        "seed": plan.salt,
        **_HASHING,
        "variations": [_value(variant) for variant in plan.variants],
        "weights": _weights(plan.ranges),
        "coverage": sum(end - start for start, end in plan.ranges) / BUCKETS,
        "ranges": _shares(plan.ranges),
        "meta": [{"key": variant.key, "name": variant.key} for variant in plan.variants],
    }
    if plan.condition:
        rule["condition"] = dict(plan.condition)
    if plan.filters:
        rule["filters"] = [_filter(item) for item in plan.filters]
    return rule


def _weights(ranges: Sequence[Range]) -> list[float]:
    # Only SDKs that know no ranges read them, together with the coverage.
    widths = [end - start for start, end in ranges]
    return [width / sum(widths) for width in widths] if any(widths) else list(equal_weights(len(widths)))


def _shares(ranges: Sequence[Range]) -> list[tuple[float, float]]:
    return [(start / BUCKETS, end / BUCKETS) for start, end in ranges]


def _filter(item: Filter) -> dict[str, Any]:
    return {"seed": item.seed, "ranges": _shares(item.ranges), "attribute": "id", "hashVersion": 2}


@dataclass(frozen=True, slots=True)
class Payload:
    """All features of one document as JSON, without what changes between two requests."""

    snapshot: Snapshot
    is_fresh: bool
    json: bytes
    etag: str


_payload: Payload | None = None


def _current_payload(snapshot: Snapshot, *, is_fresh: bool) -> Payload:
    # Two threads may make one at once: both are the same.
    global _payload
    payload = _payload
    if payload is None or payload.snapshot is not snapshot or payload.is_fresh is not is_fresh:
        payload = _payload = _built(snapshot, is_fresh=is_fresh)
    return payload


def _built(snapshot: Snapshot, *, is_fresh: bool) -> Payload:
    described = {slug: feature(plan, is_fresh=is_fresh) for slug, plan in snapshot.plans.items()}
    about = {
        "status": 200,
        "features": described,
        "experiments": [],
        "dateUpdated": snapshot.issued_at or _NEVER_PUBLISHED_AT,
    }
    text = orjson.dumps(about)
    return Payload(snapshot, is_fresh, text, f'"{blake2b(text, digest_size=16).hexdigest()}"')
