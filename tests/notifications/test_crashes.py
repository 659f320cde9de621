"""Processes killed with SIGKILL at each step between an alert's transaction and its settlement, then a drain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection

from notifications.delivery import LEASE, deliver_due
from notifications.models import Alert, Delivery
from notifications.outbox import enqueue
from tests.notifications.conftest import NOW, make_draft
from tests.sinks import HttpSink

# Runs in a process of its own and dies at the point named by its second argument.
VICTIM = """
import os, signal, sys
from datetime import datetime
import django
django.setup()
from django.db import connection, transaction
connection.settings_dict["NAME"] = sys.argv[1]
from notifications import delivery, outbox
from tests.notifications.conftest import make_draft

point, now = sys.argv[2], datetime.fromisoformat(sys.argv[3])
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
def after(function):
    def dying(*args, **kwargs):
        function(*args, **kwargs)
        die()
    return dying
def after_first(function):
    def dying(*args, **kwargs):
        for _ in function(*args, **kwargs):
            die()
    return dying

match point:
    case "before_commit_of_the_alert":
        with transaction.atomic():
            outbox.enqueue(make_draft(), now=now)
            die()
    case "after_commit_of_the_alert":
        outbox.nudge = die
        outbox.enqueue(make_draft(), now=now)
    case "before_the_send":
        delivery.send_batches = die
    case "after_the_send":
        delivery.send_batches = after_first(delivery.send_batches)
    case "before_commit_of_the_settlement":
        delivery._note_health = die
    case "after_commit_of_the_settlement":
        delivery.settle = after(delivery.settle)
delivery.deliver_due(now=now)
"""


def kill_at(point: str) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "smplat.settings"),
        "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": settings.BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL,
    }
    name = str(connection.settings_dict["NAME"])
    command = [sys.executable, "-W", "ignore", "-c", VICTIM, name, point, NOW.isoformat()]
    result = subprocess.run(
        command, env=environment, cwd=settings.BASE_DIR, capture_output=True, timeout=60, check=False
    )

    assert result.returncode == -signal.SIGKILL, result.stderr.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("point", "messages"),
    [
        ("before_the_send", 1),
        ("after_the_send", 2),
        ("before_commit_of_the_settlement", 2),
        ("after_commit_of_the_settlement", 1),
    ],
)
def test_deliver_due__killed__alert_arrives_and_is_doubled_only_between_send_and_commit(
    slack: HttpSink, point: str, messages: int
) -> None:
    enqueue(make_draft(), now=NOW)

    kill_at(point)
    deliver_due(now=NOW + LEASE + timedelta(seconds=5))

    assert Delivery.objects.get().state == "sent"
    assert len(slack.received) == messages


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("point", "alerts"), [("before_commit_of_the_alert", 0), ("after_commit_of_the_alert", 1)])
def test_enqueue__killed__alert_exists_exactly_when_its_transaction_was_committed(
    slack: HttpSink, point: str, alerts: int
) -> None:
    kill_at(point)

    deliver_due(now=NOW)

    assert Alert.objects.count() == alerts
    assert len(slack.received) == alerts
