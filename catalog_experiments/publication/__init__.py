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
from catalog_experiments.publication.force_links import (
    ForcedVariant,
    force_address,
    read_force_link,
    sign_force_link,
)
from catalog_experiments.publication.groups import InvalidExclusion, create_group, set_holdout
from catalog_experiments.publication.promises import promise

__all__ = [
    "KEPT_DOCUMENTS",
    "ExperimentBadge",
    "ForcedVariant",
    "InvalidExclusion",
    "VariantBadge",
    "baseline_offer",
    "create_group",
    "force_address",
    "load_document",
    "lock_document",
    "newest_version",
    "promise",
    "prune_documents",
    "publish_document",
    "read_force_link",
    "set_holdout",
    "sign_force_link",
    "telemetry_badges",
]
