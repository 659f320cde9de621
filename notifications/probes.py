"""What health pages and Prometheus ask of the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from notifications.models import Delivery

OLDEST_ALLOWED_SECONDS = 300

Answer = tuple[str, bool, str]


@dataclass(frozen=True)
class OutboxState:
    """How many messages are due, how long the oldest of them has been (seconds), and how many were given up.

    Messages to a target that rests are not due: it said so itself, or it keeps failing and is probed.
    """

    due_count: int
    oldest_seconds: float
    dead_count: int


def outbox_state(now: datetime) -> OutboxState:
    """Read the state of the outbox at `now`."""
    due = Delivery.objects.due(now).unhindered(now).aggregate(count=Count("pk"), since=Min("next_attempt_at"))
    since = due["since"]
    return OutboxState(due["count"], (now - since).total_seconds() if since else 0.0, Delivery.objects.dead().count())


def outbox_age() -> Answer:
    """Say whether somebody sends what is due."""
    state = outbox_state(timezone.now())
    detail = f"{state.due_count} messages due, the oldest for {state.oldest_seconds:.0f} s"
    return "outbox", state.oldest_seconds <= OLDEST_ALLOWED_SECONDS, detail


def dead_deliveries() -> Answer:
    """Tell how many messages were given up. Never a reason to take this process out of service, so always well."""
    dead_count = Delivery.objects.dead().count()
    return "dead_deliveries", True, f"{dead_count} messages given up" if dead_count else "none given up"


PROBES: tuple[Callable[[], Answer], ...] = (outbox_age, dead_deliveries)


def collect_metrics() -> Iterator[Metric]:
    """Yield the outbox's figures."""
    state = outbox_state(timezone.now())
    yield GaugeMetricFamily("outbox_due", "Messages to send now.", value=state.due_count)
    yield GaugeMetricFamily(
        "outbox_oldest_seconds", "How long the oldest due message waits.", value=state.oldest_seconds
    )
    yield GaugeMetricFamily("outbox_dead", "Messages given up and not sent again.", value=state.dead_count)
