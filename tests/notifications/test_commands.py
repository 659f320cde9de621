"""The fire-drill and the worker's task, through the real path."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from notifications.models import Delivery
from notifications.outbox import DELIVERY_TASK, enqueue
from notifications.tasks import deliver_due_alerts
from smplat.celery import app
from tests.notifications.conftest import make_draft
from tests.sinks import HttpSink, SmtpSink, answer

pytestmark = pytest.mark.django_db


def test_send_test_alert__all_targets_well__says_so_for_each(slack: HttpSink, mail: SmtpSink) -> None:
    output = StringIO()

    call_command("send_test_alert", stdout=output, no_color=True)

    lines = output.getvalue().splitlines()
    assert "guardrail-slack: sent" in lines
    assert sum("sent" in line for line in lines) == 4
    assert b"Test alert" in slack.received[0].body


def test_send_test_alert__one_target_gone__fails_and_says_why(slack: HttpSink, mail: SmtpSink) -> None:
    slack.default = answer(410, "channel_is_archived")
    output = StringIO()

    with pytest.raises(CommandError, match="1 of 4 messages did not go out"):
        call_command("send_test_alert", stdout=output, no_color=True)

    assert "guardrail-slack: given up channel_is_archived" in output.getvalue()


def test_send_test_alert__no_target__fails() -> None:
    with pytest.raises(CommandError, match="No target is configured"):
        call_command("send_test_alert")


def test_deliver_due_alerts__run_twice__sends_once(slack: HttpSink) -> None:
    enqueue(make_draft(), now=timezone.now())

    deliver_due_alerts()
    deliver_due_alerts()

    assert Delivery.objects.get().state == "sent"
    assert len(slack.received) == 1


def test_delivery_task__name_in_the_outbox__is_a_registered_task_of_the_control_queue() -> None:
    app.loader.import_default_modules()

    assert DELIVERY_TASK in app.tasks
    assert app.amqp.router.route({}, DELIVERY_TASK)["queue"].name == "control"
