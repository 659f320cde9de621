"""Send a test alert the way a real one goes, and say what became of it at each target."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from notifications.delivery import deliver_due
from notifications.models import Alert, Delivery, DeliveryState
from notifications.outbox import draft_test_alert, enqueue

UNSETTLED = (DeliveryState.PENDING, DeliveryState.LEASED)


class Command(BaseCommand):
    help = "Send a test alert to every configured target, through the outbox; exit 1 unless all of them took it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--wait", type=float, default=30.0, metavar="SECONDS", help="give up after (default 30)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait until every message was tried once, and write what became of each."""
        now = timezone.now()
        alert = enqueue(draft_test_alert(actor="system:send_test_alert", now=now), now=now)
        if alert is None or not alert.deliveries.exists():
            raise CommandError(
                "No target is configured: set a Slack webhook, mail recipients with SMTP_HOST, or a webhook."
            )
        self._deliver(alert, options["wait"])
        failed = [self._report(delivery) for delivery in alert.deliveries.order_by("channel", "recipient")].count(False)
        if failed:
            raise CommandError(
                f"{failed} of {alert.deliveries.count()} messages did not go out (reference {alert.reference})."
            )

    def _deliver(self, alert: Alert, seconds: float) -> None:
        """Send here unless a running worker is faster, until every message was tried once."""
        until = time.monotonic() + seconds
        while alert.deliveries.filter(state__in=UNSETTLED).exists() and time.monotonic() < until:
            deliver_due(now=timezone.now())
            time.sleep(0.2)

    def _report(self, delivery: Delivery) -> bool:
        is_sent = delivery.state == DeliveryState.SENT
        name = f"{delivery.target} {delivery.recipient}".strip()
        style = self.style.SUCCESS if is_sent else self.style.ERROR
        words = "" if is_sent else f" {delivery.last_excerpt}".rstrip()
        self.stdout.write(f"{name}: " + style(delivery.get_state_display().lower()) + words)
        return is_sent
