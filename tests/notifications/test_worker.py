"""The doorbell: a real broker and a real worker process bring an alert out moments after its commit."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from notifications import outbox
from notifications.channels import SECONDS_BETWEEN
from notifications.models import Delivery
from notifications.outbox import enqueue
from smplat.embedded.broker import Broker
from tests.notifications.conftest import make_draft
from tests.notifications.test_outbox import nudge
from tests.processes import running
from tests.sinks import HttpSink

WORKER = """
import sys
import django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[1]
from smplat.celery import app
app.worker_main(["worker", "-Q", "control", "--pool", "solo", "--without-gossip", "--without-mingle"])
"""
PATIENCE_SECONDS = 40.0


def commit_alert(key: str) -> float:
    """Store an alert and return the seconds until its message was sent."""
    with transaction.atomic():
        enqueue(make_draft(dedupe_key=key), now=timezone.now())
    began = time.monotonic()
    while Delivery.objects.exclude(state="sent").exists():
        assert time.monotonic() - began < PATIENCE_SECONDS, Delivery.objects.values_list("state", flat=True)
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.django_db(transaction=True)
def test_worker__alert_committed__is_sent_within_seconds(
    slack: HttpSink, broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(outbox, "nudge", nudge)
    monkeypatch.setattr(outbox, "_breaker", outbox._Breaker())
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "smplat.settings",
        "REDIS_URL": broker.url,
        "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": slack.url(),
    }
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(connection.settings_dict["NAME"])]

    with running(command, log=tmp_path / "worker.log", env=environment, cwd=settings.BASE_DIR):
        commit_alert("while the worker starts")
        time.sleep(SECONDS_BETWEEN["slack"] + 1.0)
        seconds = commit_alert("while it runs")

    assert seconds < 10
    assert len(slack.received) == 2
