"""Celery's way in. The broker is a doorbell: what is owed stands in the outbox, and the sweeper comes by anyway."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from notifications.delivery import deliver_due


@shared_task(name="notifications.tasks.deliver_due_alerts", ignore_result=True)
def deliver_due_alerts() -> None:
    """Send what is due now."""
    deliver_due(now=timezone.now())
