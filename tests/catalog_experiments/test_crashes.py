"""A real process killed with SIGKILL at every step from the guardrails' slot to the settled alert, then a restart.

Whatever the step: one breach, one pause, one alert. Before the commit nothing is left; after it nothing is lost.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings

from catalog_experiments.enforcement import verify_chain
from catalog_experiments.models import (
    EvaluationAction,
    Experiment,
    ExperimentEvent,
    GuardrailEvaluation,
    JobLease,
    PauseCause,
)
from catalog_experiments.scheduling import GUARDRAILS, run_task
from notifications import channels, outbox
from notifications.delivery import LEASE, deliver_due
from notifications.models import Alert, Delivery
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers
from tests.crash_points import CRASH_POINTS, CrashPoint
from tests.sinks import HttpSink, http_sink

DIES_AT = NOON + dt.timedelta(hours=5, minutes=31)
RESTARTED_AT = DIES_AT + dt.timedelta(minutes=5)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpSink]:
    monkeypatch.setitem(channels.SECONDS_BETWEEN, "slack", 0.0)
    monkeypatch.setattr(outbox, "nudge", lambda: True)
    with http_sink() as sink, override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL=sink.url()):
        yield sink


def make_breaching() -> Experiment:
    experiment = make_running_experiment()
    add_buyers(experiment, "control", 300, 60, at=NOON + dt.timedelta(minutes=10))
    add_buyers(experiment, "test", 300, 13, at=NOON + dt.timedelta(minutes=10))
    return experiment


def kill_at(point: CrashPoint) -> None:
    """Let a process of its own work the slot and die at the point."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "smplat.settings",
        "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED": "true",
        "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": settings.BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL,
    }
    name = str(connection.settings_dict["NAME"])
    command = [sys.executable, "-W", "ignore", "-m", "tests.crash_points", name, point.name, DIES_AT.isoformat()]
    ended = subprocess.run(
        command, env=environment, cwd=settings.BASE_DIR, capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def restart() -> None:
    """Do what the next processes do: take over the slot once the dead one's lease is over, and drain the outbox."""
    JobLease.objects.update(expires_at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))
    with override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED=True):
        assert run_task(GUARDRAILS, now=RESTARTED_AT).outcome == "done"
    for minutes in (0, 1, 2):
        deliver_due(now=RESTARTED_AT + LEASE + dt.timedelta(minutes=minutes))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", CRASH_POINTS, ids=lambda point: point.name.replace(" ", "_"))
def test_guardrails__killed_at_any_step__one_breach_is_one_pause_and_one_alert(
    slack: HttpSink, point: CrashPoint
) -> None:
    experiment = make_breaching()

    kill_at(point)

    experiment.refresh_from_db()
    assert (experiment.pause_cause == PauseCause.BREACHED) is point.survives
    traces = (GuardrailEvaluation, ExperimentEvent, Alert, Delivery)
    assert {model.objects.count() for model in traces} == {int(point.survives)}

    restart()

    experiment.refresh_from_db()
    breaches = GuardrailEvaluation.objects.filter(action=EvaluationAction.PAUSED).count()
    assert (breaches, ExperimentEvent.objects.filter(action="pause").count(), Alert.objects.count()) == (1, 1, 1)
    assert experiment.pause_cause == PauseCause.BREACHED
    assert Delivery.objects.get().state == "sent"
    assert 1 <= len(slack.received) <= point.messages
    assert verify_chain().first_difference is None


def test_crash_points__are_sixteen_with_names_of_their_own() -> None:
    assert len({point.name for point in CRASH_POINTS}) == 16
