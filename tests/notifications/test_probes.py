"""What health pages and Prometheus are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notifications.delivery import deliver_due
from notifications.outbox import enqueue
from notifications.probes import PROBES, OutboxState, collect_metrics, dead_deliveries, outbox_age, outbox_state
from tests.notifications.conftest import NOW, make_draft
from tests.sinks import HttpSink, answer

pytestmark = pytest.mark.django_db


def test_probes__nothing_sent__are_well() -> None:
    assert [probe()[:2] for probe in PROBES] == [("outbox", True), ("dead_deliveries", True)]


def test_outbox_age__nobody_delivers_for_six_minutes__is_not_well(slack: HttpSink) -> None:
    enqueue(make_draft(), now=timezone.now() - timedelta(minutes=6))

    name, is_ok, detail = outbox_age()

    assert (name, is_ok) == ("outbox", False)
    assert "1 messages due" in detail


def test_outbox_state__target_asked_for_an_hour__counts_nothing_as_due(slack: HttpSink) -> None:
    slack.default = answer(429, "rate_limited", Retry_After="3600")
    for number in range(3):
        enqueue(make_draft(dedupe_key=str(number)), now=NOW)
    deliver_due(now=NOW)

    assert outbox_state(NOW + timedelta(minutes=30)) == OutboxState(0, 0.0, 0)
    assert outbox_state(NOW + timedelta(minutes=70)).due_count == 3


def test_metrics__one_due_and_one_dead__tell_both(slack: HttpSink) -> None:
    slack.script.append(answer(404, "no_service"))
    enqueue(make_draft(), now=timezone.now())
    deliver_due(now=timezone.now())
    enqueue(make_draft(dedupe_key="second"), now=timezone.now() - timedelta(seconds=90))

    samples = {family.name: family.samples[0].value for family in collect_metrics()}

    assert (samples["outbox_due"], samples["outbox_dead"]) == (1, 1)
    assert 90 <= samples["outbox_oldest_seconds"] < 100
    assert dead_deliveries() == ("dead_deliveries", True, "1 messages given up")
