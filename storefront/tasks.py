"""Celery's way into the shop. What is owed stands in the shop's own orders; the next order reports them too."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from storefront.shop import report_due


@shared_task(name="storefront.tasks.report_due_orders", ignore_result=True)
def report_due_orders() -> None:
    """Report the orders that telemetry has missed."""
    report_due(now=timezone.now())
