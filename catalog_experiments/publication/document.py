"""Write the next version of the document, read versions back, and forget old ones."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models import Max

from catalog_experiments.models import Bundle, Order, PublishedDocument
from catalog_experiments.phases.snapshots import offer
from catalog_experiments.publication.entries import read_entries

KEPT_DOCUMENTS = 100
_LOCK = (7_311_002, 0)


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
    text = orjson.dumps({"version": version, "issued_at": now.isoformat(), "experiments": read_entries()})
    etag = hashlib.sha256(text).hexdigest()
    return PublishedDocument.objects.create(version=version, text=text.decode(), etag=etag, issued_at=now)


def newest_version() -> int:
    """Return the version of the newest document, 0 before the first."""
    return PublishedDocument.objects.aggregate(newest=Max("version"))["newest"] or 0


def load_document(version: int | None = None) -> dict[str, Any] | None:
    """Return one version of the document, the newest by default; None when there is none (any more)."""
    documents = (
        PublishedDocument.objects.all() if version is None else PublishedDocument.objects.filter(version=version)
    )
    text = documents.order_by("-version").values_list("text", flat=True).first()
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
