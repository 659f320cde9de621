"""Running experiments -> one immutable, versioned document that every storefront process serves.

Stands between `lifecycle`, which publishes with each transition, and `storefront.document`, which reads. Nothing
leaves in it but what decides an offer: no hypothesis, no name of a person, no guardrail, no metric.
"""

from catalog_experiments.publication.badges import ExperimentBadge, VariantBadge, telemetry_badges
from catalog_experiments.publication.document import (
    KEPT_DOCUMENTS,
    baseline_offer,
    load_document,
    lock_document,
    newest_version,
    prune_documents,
    publish_document,
)

__all__ = [
    "KEPT_DOCUMENTS",
    "ExperimentBadge",
    "VariantBadge",
    "baseline_offer",
    "load_document",
    "lock_document",
    "newest_version",
    "prune_documents",
    "publish_document",
    "telemetry_badges",
]
