"""manage.py run_sweeper: works owed slots and sends alerts without a broker, and outlives its connections."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from catalog_experiments.models import Experiment, ExperimentStatus, JobRun
from catalog_experiments.scheduling import GUARDRAILS, sync_schedules
from notifications.models import Delivery, DeliveryState
from notifications.outbox import AlertDraft, enqueue
from tests.catalog_experiments.recent import make_recent_breach
from tests.catalog_experiments.test_scheduling import SWITCHED_ON
from tests.environment import PROJECT
from tests.processes import running, wait_until
from tests.sinks import HttpSink, http_sink

OVERDUE = dt.timedelta(minutes=4)
NO_BROKER = "redis://127.0.0.1:1/0"


@pytest.fixture
def slack() -> Iterator[HttpSink]:
    with http_sink() as sink, override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL=sink.url()):
        yield sink


def make_owed(folder: Path) -> Experiment:
    """Make a breaching experiment whose guardrail job was due a few minutes ago and has not run."""
    due_at = timezone.now() - OVERDUE
    path = folder / "schedules.toml"
    path.write_text(f'[jobs.guardrails]\ntask = "{GUARDRAILS}"\ncron = "{due_at.minute} * * * *"\n')
    with override_settings(**SWITCHED_ON):
        sync_schedules(path, now=due_at)
    return make_recent_breach()


def raise_alert(key: str) -> None:
    now = timezone.now()
    enqueue(AlertDraft("test", "critical", f"about {key}", key, "", now), now=now)


@pytest.mark.django_db(transaction=True)
@override_settings(**SWITCHED_ON)
def test_run_sweeper__once__evaluates_what_is_owed_and_sends_the_alert(slack: HttpSink, tmp_path: Path) -> None:
    experiment = make_owed(tmp_path)

    call_command("run_sweeper", "--once")

    experiment.refresh_from_db()
    assert experiment.status == ExperimentStatus.PAUSED
    assert len(slack.received) == 1
    assert set(JobRun.objects.values_list("trigger", flat=True)) == {"sweep"}


@pytest.mark.django_db(transaction=True)
def test_run_sweeper__without_broker_and_with_cut_connections__goes_on_and_ends_politely(
    slack: HttpSink, tmp_path: Path
) -> None:
    experiment = make_owed(tmp_path)
    found = connection.settings_dict
    switches = dict.fromkeys(SWITCHED_ON, "true")
    environment = {
        **os.environ,
        **switches,
        "DATABASE_URL": f"postgres://{found['USER']}@/{found['HOST']}/{found['NAME']}",
        "REDIS_URL": NO_BROKER,
        "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": slack.url(),
        "SMPLAT_ROLE": "sweeper",
    }
    command, log = [sys.executable, "manage.py", "run_sweeper"], tmp_path / "sweeper.log"

    with running(command, log=log, env=environment, cwd=PROJECT) as sweeper:
        wait_until(Delivery.objects.filter(state=DeliveryState.SENT).exists, 60)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        raise_alert("after the cut")
        wait_until(lambda: len(slack.received) == 2, 30)
        sweeper.send_signal(signal.SIGTERM)
        assert sweeper.wait(15) == 0

    experiment.refresh_from_db()
    assert experiment.status == ExperimentStatus.PAUSED
    assert b"was paused" in slack.received[0].body
    assert b"after the cut" in slack.received[1].body
