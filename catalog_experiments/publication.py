"""Running experiments -> one immutable, versioned document that every storefront process serves.

Stands between `lifecycle`, which publishes with each transition, and `storefront.document`, which reads. Nothing
leaves in it but what decides an offer: no hypothesis, no name of a person, no guardrail, no metric.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models import F, Max, TextField
from django.db.models.functions import Cast

from catalog_experiments.assignment import AllocationError, allowed_coverage
from catalog_experiments.models import (
    Bundle,
    Experiment,
    ExperimentStatus,
    GuardrailEvaluation,
    Order,
    PhaseOrigin,
    PublishedDocument,
    Variant,
    VariantMetric,
)
from catalog_experiments.slots import SINCE, WAITS
from catalog_experiments.snapshots import offer, ranges_by_key

logger = logging.getLogger(__name__)

KEPT_DOCUMENTS = 100
_LOCK = (7_311_002, 0)
_JSON_COLUMNS = ("targeting", "forced_units", "metadata", "variants")


def lock_document() -> None:
    """Become the only one who may publish, until the transaction ends; safe to repeat within it.

    Whoever reads what goes into the document does so after this, else two transitions could bring a paused
    experiment back.

    Raises:
        TransactionManagementError: there is no transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("A document is published inside a transaction only.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", _LOCK)


def publish_document(*, now: datetime) -> PublishedDocument:
    """Write the next version from what the tables hold now, in the caller's transaction.

    Versions come in commit order: the lock is taken before anything is read. Lock experiments before calling.

    Raises:
        TransactionManagementError: there is no transaction.
    """
    lock_document()
    version = newest_version() + 1
    document: dict[str, Any] = {"version": version, "issued_at": now.isoformat(), "experiments": _entries()}
    text = orjson.dumps(document)
    etag = hashlib.sha256(text).hexdigest()
    with connection.cursor() as cursor:
        # As text, ready made: the model's field would serialize half a megabyte a second time, and slower.
        cursor.execute(
            "INSERT INTO catalog_published_documents (version, document, etag, issued_at) VALUES (%s, %s, %s, %s)",
            [version, text.decode(), etag, now],
        )
    return PublishedDocument(version=version, document=document, etag=etag, issued_at=now)


def newest_version() -> int:
    """Return the version of the newest document, 0 before the first."""
    return PublishedDocument.objects.aggregate(newest=Max("version"))["newest"] or 0


def load_document(version: int | None = None) -> dict[str, Any] | None:
    """Return one version of the document, the newest by default; None when there is none (any more)."""
    documents = (
        PublishedDocument.objects.all() if version is None else PublishedDocument.objects.filter(version=version)
    )
    text = documents.order_by("-version").values_list(Cast("document", TextField()), flat=True).first()
    return None if text is None else dict(orjson.loads(text))


def baseline_offer(product_slug: str) -> dict[str, Any] | None:
    """Return what a product page shows while no experiment runs on it, as bundle and payload; None for nothing.

    It is the active bundle with the smallest priority among those of the page with a CMS override.
    """
    bundles = Bundle.objects.active().anchored_on([product_slug]).exclude(cms_override={})
    bundle = bundles.order_by("cms_priority", "bundle_slug").first()
    return None if bundle is None else {"bundle": offer(bundle), "payload": bundle.cms_override}


def prune_documents(*, keep: int = KEPT_DOCUMENTS) -> int:
    """Delete documents but the newest `keep` and those that an order names; return how many went. Safe to repeat.

    Meant for a daily job: it reads the offers of every order placed since the oldest document it may delete.
    """
    old = PublishedDocument.objects.filter(version__lte=newest_version() - keep)
    oldest = old.order_by("version").values_list("issued_at", flat=True).first()
    if oldest is None:
        return 0
    named = set[int]()
    for offers in Order.objects.filter(placed_at__gte=oldest).exclude(offers=[]).values_list("offers", flat=True):
        named.update(taken["document_version"] for taken in offers if "document_version" in taken)
    return old.exclude(version__in=named).delete()[0]


def _entries() -> list[dict[str, Any]]:
    rows = [_decoded(row) for row in _rows()]
    bundles = _live_bundles(rows)
    shadowed = _shadowed(rows)
    return [_entry(row, bundles, row["slug"] in shadowed) for row in rows]


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


def _entry(row: Mapping[str, Any], bundles: Mapping[str, dict[str, Any]], is_shadowed: bool) -> dict[str, Any]:
    shown = bundles if row["status"] != ExperimentStatus.RUNNING else {}
    return {
        "slug": row["slug"],
        "status": row["status"],
        "salt": row["current_phase__salt"],
        "phase": row["current_phase__number"],
        "anchor_product_slug": row["current_phase__anchor_product_slug"],
        "published_at": _iso(row["published_at"]),
        "coverage": _coverage(row),
        "variants": _variants(row["variants"], row["coverage"], shown),
        "targeting": row["targeting"],
        "forced": row["forced_units"],
        "filters": [],
        "shadowed": is_shadowed,
        "shipped_variant": row["winner__key"],
    }


def _variants(
    variants: Sequence[Mapping[str, Any]], coverage: int, shown: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    ranges = ranges_by_key(variants, coverage)
    return [
        {
            "key": variant["key"],
            "is_control": variant["is_control"],
            "range": list(ranges[variant["key"]]),
            "bundle": shown.get(variant["bundle_slug"], variant["bundle"]),
            "payload": variant["override_payload"],
        }
        for variant in variants
    ]


def _coverage(row: Mapping[str, Any]) -> int:
    try:
        return allowed_coverage([variant["weight"] for variant in row["variants"]], row["coverage"])
    except AllocationError as broken:
        logger.error("%s serves the control to everyone: %s", row["slug"], broken)
        return 0


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


@dataclass(frozen=True)
class VariantBadge:
    """A variant with its latest telemetry, for staff on the product page; rates and lift are fractions.

    `verdict` is '' before the first evaluation; the rate is None before the first metric row.
    """

    key: str
    name: str
    is_control: bool
    bundle_slug: str | None
    sample_size: int
    acceptance_count: int
    acceptance_rate: float | None
    lift: float | None
    lift_interval: tuple[float, float] | None
    guardrail_breached: bool
    breach_reasons: tuple[str, ...]
    verdict: str
    computed_at: datetime | None


@dataclass(frozen=True)
class ExperimentBadge:
    """An experiment for staff on the product page, its variants control first; `state` is its gravest verdict."""

    slug: str
    name: str
    status: str
    state: str
    anchor_product_slug: str
    pause_reason: str
    guardrail_config: Mapping[str, Any]
    variants: tuple[VariantBadge, ...]

    @property
    def bundles(self) -> frozenset[str]:
        """Return the slugs of the bundles its variants offer."""
        return frozenset(variant.bundle_slug for variant in self.variants if variant.bundle_slug)

    @property
    def computed_at(self) -> datetime | None:
        """Return when its newest numbers were computed, None before the first."""
        return max((variant.computed_at for variant in self.variants if variant.computed_at), default=None)


def telemetry_badges(*, limit: int = 100) -> tuple[ExperimentBadge, ...]:
    """Return the newest experiments of every state with their latest telemetry, in a constant number of queries.

    Never put into the document: the overlay asks for it, for staff alone.
    """
    experiments = list(
        Experiment.objects.select_related("current_phase")
        .prefetch_related("variants__bundle")
        .order_by("-created_at")[:limit]
    )
    metrics = {metric.variant_id: metric for metric in _latest_metrics(experiments)}
    evaluations = {evaluation.experiment_id: evaluation for evaluation in _latest_evaluations(experiments)}
    return tuple(_badge(experiment, metrics, evaluations.get(experiment.pk)) for experiment in experiments)


def _latest_metrics(experiments: Sequence[Experiment]) -> Iterable[VariantMetric]:
    current = VariantMetric.objects.filter(experiment__in=experiments, phase=F("experiment__current_phase"))
    return current.order_by("variant_id", "-window_start", "-computed_at").distinct("variant_id")


def _latest_evaluations(experiments: Sequence[Experiment]) -> Iterable[GuardrailEvaluation]:
    current = GuardrailEvaluation.objects.filter(experiment__in=experiments, phase=F("experiment__current_phase"))
    return current.order_by("experiment_id", "-sequence").distinct("experiment_id").only("experiment", "verdict", "verdicts")


def _badge(
    experiment: Experiment, metrics: Mapping[Any, VariantMetric], evaluation: GuardrailEvaluation | None
) -> ExperimentBadge:
    verdicts = {} if evaluation is None else {entry["variant_key"]: entry["verdict"] for entry in evaluation.verdicts}
    variants = list(experiment.variants.all())
    anchor = next((variant.bundle.primary_product_slug for variant in variants if variant.bundle), "")
    return ExperimentBadge(
        slug=experiment.slug,
        name=experiment.name,
        status=experiment.status,
        state="collecting" if evaluation is None else evaluation.verdict,
        anchor_product_slug=experiment.current_phase.anchor_product_slug if experiment.current_phase else anchor,
        pause_reason=experiment.pause_reason,
        guardrail_config=experiment.guardrail_config,
        variants=tuple(_variant_badge(item, metrics.get(item.pk), verdicts.get(item.key, "")) for item in variants),
    )


def _variant_badge(variant: Variant, metric: VariantMetric | None, verdict: str) -> VariantBadge:
    has_interval = metric is not None and metric.lift_lower is not None and metric.lift_upper is not None
    return VariantBadge(
        key=variant.key,
        name=variant.name,
        is_control=variant.is_control,
        bundle_slug=variant.bundle_id,
        sample_size=metric.sample_size if metric else 0,
        acceptance_count=metric.acceptance_count if metric else 0,
        acceptance_rate=float(metric.acceptance_rate) if metric else None,
        lift=float(metric.lift_vs_control) if metric and metric.lift_vs_control is not None else None,
        lift_interval=(float(metric.lift_lower), float(metric.lift_upper)) if has_interval else None,  # type: ignore[union-attr, arg-type]  # has_interval says so
        guardrail_breached=metric.guardrail_breached if metric else False,
        breach_reasons=tuple(metric.breach_reasons) if metric else (),
        verdict=verdict,
        computed_at=metric.computed_at if metric else None,
    )
