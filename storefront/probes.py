"""How the storefront is: the age of its document, and orders that telemetry has not heard of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from django.conf import settings
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from storefront import document
from storefront.models import ShopOrder

REPORT_WITHIN = dt.timedelta(minutes=5)


def document_age() -> tuple[str, bool, str]:
    """Say how old this process's document is; starts the reader, so that the first shopper finds it warm."""
    reader = document.reader()
    snapshot = reader.current()
    if snapshot is None:
        limit = settings.STOREFRONT_STALE_SECONDS
        return "storefront_document", False, f"not confirmed within {limit} s: pages serve control"
    return "storefront_document", True, f"version {snapshot.version}, confirmed {reader.age_seconds():.1f} s ago"


def order_reports() -> tuple[str, bool, str]:
    """Say how many orders wait for telemetry; always ok, since the shop must not leave traffic for that."""
    waiting = ShopOrder.objects.unreported_before(timezone.now() - REPORT_WITHIN).count()
    return "storefront_orders", True, f"{waiting} orders not reported within 5 minutes"


PROBES: list[Callable[[], tuple[str, bool, str]]] = [document_age, order_reports]


def collect_metrics() -> Iterator[Metric]:
    """Yield the storefront's figures."""
    reader = document.reader()
    held = reader.last_seen()
    yield GaugeMetricFamily(
        "smplat_storefront_document_version", "Version this process serves.", value=held.version if held else 0
    )
    yield GaugeMetricFamily(
        "smplat_storefront_document_age_seconds",
        "Seconds since the version was seen to be the newest; -1 before the first.",
        value=reader.age_seconds() if held else -1,
    )
    yield GaugeMetricFamily(
        "smplat_storefront_unreported_orders",
        "Orders telemetry has not heard of.",
        value=ShopOrder.objects.unreported().count(),
    )
