"""manage.py run_guardrail_worker: the interval loop for a site without scheduler."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from catalog_experiments.models import ExperimentStatus, JobRun
from tests.catalog_experiments.recent import make_recent_breach
from tests.environment import PROJECT
from tests.processes import running, wait_until


def run_once() -> str:
    said = io.StringIO()
    call_command("run_guardrail_worker", "--once", stdout=said)
    return said.getvalue()


@pytest.mark.django_db
@override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED=True)
def test_run_guardrail_worker__once__pauses_and_is_in_the_ledger() -> None:
    experiment = make_recent_breach()

    said = run_once()

    experiment.refresh_from_db()
    assert experiment.status == ExperimentStatus.PAUSED
    assert "evaluated 1, paused 1, alerts 1" in said
    assert JobRun.objects.get().trigger == "loop"


@pytest.mark.django_db
def test_run_guardrail_worker__switched_off__skips_and_says_so() -> None:
    experiment = make_recent_breach()

    said = run_once()

    experiment.refresh_from_db()
    assert experiment.is_running
    assert "evaluated 0, skipped True" in said
    assert not JobRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_run_guardrail_worker__told_to_stop__ends_after_its_round(tmp_path: Path) -> None:
    experiment, found, log = make_recent_breach(), connection.settings_dict, tmp_path / "worker.log"
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgres://{found['USER']}@/{found['HOST']}/{found['NAME']}",
        "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED": "true",
        "BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS": "1",
    }

    with running(
        [sys.executable, "manage.py", "run_guardrail_worker"], log=log, env=environment, cwd=PROJECT
    ) as worker:
        wait_until(lambda: log.read_text().count("evaluated") >= 2, 60)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(15) == 0

    experiment.refresh_from_db()
    assert experiment.status == ExperimentStatus.PAUSED
    assert "judging every 1 s" in log.read_text()
    assert log.read_text().count("evaluated") == JobRun.objects.count()  # each round is told once


@pytest.mark.parametrize("seconds", ["0", "-3", "nan"])
def test_run_guardrail_worker__interval_without_a_pause__is_refused(seconds: str) -> None:
    with pytest.raises(CommandError, match="--interval-seconds must be at least 1"):
        call_command("run_guardrail_worker", "--interval-seconds", seconds)
