"""The A/A alarm in the control center: seen on the landing page and on held cards, read, and acknowledged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from catalog_experiments.enforcement import evaluate
from catalog_experiments.models import CalibrationRun, CanaryAlarm, Experiment, ExperimentEvent
from catalog_experiments.preflight import failures, run_preflight
from tests.builders import make_running_experiment
from tests.catalog_experiments.admin.test_drafts import filled
from tests.catalog_experiments.buyers import add_buyers

ClientAs = Callable[[str], Client]
LANDING = "/admin/merchandising/bundles"


@pytest.fixture
def alarm(db: None) -> CanaryAlarm:
    """A red calibration of an hour ago."""
    raised_at = timezone.now() - dt.timedelta(hours=1)
    run = CalibrationRun.objects.create(
        ran_at=raised_at,
        since_at=raised_at - dt.timedelta(days=28),
        seed="seed",
        unit_count=5_000,
        buyer_count=400,
        split_count=200,
        rejection_count=31,
        is_red=True,
    )
    return CanaryAlarm.objects.create(calibration=run, raised_at=raised_at, finding="31 of 200 random splits differ.")


@pytest.fixture
def held(alarm: CanaryAlarm) -> Experiment:
    """A healthy experiment that was judged while the alarm stands."""
    now = timezone.now()
    experiment = make_running_experiment(now=now - dt.timedelta(hours=6))
    for key in ("control", "test"):
        add_buyers(experiment, key, 300, 60, at=now - dt.timedelta(hours=5))
    evaluate(experiment.pk, now=now)
    return experiment


def address(alarm: CanaryAlarm) -> str:
    return f"{LANDING}/canary-alarms/{alarm.pk}"


def test_landing__while_red__says_so_and_leads_to_the_alarm(client_as: ClientAs, held: Experiment) -> None:
    alarm = CanaryAlarm.objects.get()

    page = client_as("viewer").get(LANDING).content.decode()

    assert address(alarm) in page
    assert "31 of 200 random splits differ." in page
    assert "The data cannot be trusted: the A/A canary is red: the measuring itself may be wrong." in page
    assert "find out why the A/A canary is red, then acknowledge it with a reason" in page


def test_landing__on_a_good_day__says_nothing(client_as: ClientAs, db: None) -> None:
    assert "A/A canary is red" not in client_as("viewer").get(LANDING).content.decode()


def test_experiment__while_red__lists_it_among_what_kept_the_data_from_being_trusted(
    client_as: ClientAs, held: Experiment
) -> None:
    page = client_as("viewer").get(f"{LANDING}/{held.slug}").content.decode()

    assert "The A/A canary was red" in page


def test_acknowledge__with_a_reason__ends_it(client_as: ClientAs, alarm: CanaryAlarm) -> None:
    client = client_as("merchandiser")
    asked = client.get(address(alarm)).content.decode()

    answer = client.post(address(alarm), {"reason": "a cache served control twice"}, follow=True)

    alarm.refresh_from_db()
    assert "Acknowledge</button>" in asked
    assert "Ended on" in answer.content.decode()
    assert (alarm.ended_by, alarm.end_reason) == ("user:a-merchandiser", "a cache served control twice")
    [event] = ExperimentEvent.objects.filter(action="canary_acknowledged")
    assert event.experiment_slug == "calibration:"


def test_acknowledge__without_reason__changes_nothing(client_as: ClientAs, alarm: CanaryAlarm) -> None:
    answer = client_as("operator").post(address(alarm), {"reason": " "})

    alarm.refresh_from_db()
    assert "This field is required." in answer.content.decode()
    assert alarm.ended_at is None


def test_acknowledge__a_second_time__says_who_was_first(client_as: ClientAs, alarm: CanaryAlarm) -> None:
    client = client_as("operator")
    client.post(address(alarm), {"reason": "found"})

    answer = client.post(address(alarm), {"reason": "found too"}, follow=True)

    alarm.refresh_from_db()
    assert "by user:a-operator" in answer.content.decode()
    assert alarm.end_reason == "found"


def test_acknowledge__by_a_viewer__is_refused(client_as: ClientAs, alarm: CanaryAlarm) -> None:
    client = client_as("viewer")

    assert "Acknowledge</button>" not in client.get(address(alarm)).content.decode()
    assert client.post(address(alarm), {"reason": "found"}).status_code == 403


def test_alarm__unknown_or_malformed__is_not_found(client_as: ClientAs, db: None) -> None:
    client = client_as("viewer")

    assert client.get(f"{LANDING}/canary-alarms/{'0' * 36}").status_code == 404
    assert client.get(f"{LANDING}/canary-alarms/00000000-0000-7000-8000-000000000000").status_code == 404


def test_list__of_alarms__leads_to_each(client_as: ClientAs, alarm: CanaryAlarm) -> None:
    page = client_as("viewer").get("/admin/catalog_experiments/canaryalarm/").content.decode()

    assert address(alarm) in page
    assert "31 of 200" in page


@pytest.mark.usefixtures("bundles")
def test_draft__ticked_as_canary__is_one(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    same = {"variants-1-bundle_slug": "cups-a", "variants-1-override_payload": "{}"}

    client.post(f"{LANDING}/new", filled(is_canary="on", min_acceptance_percent="", **same))
    page = client.get(f"{LANDING}/cups/edit").content.decode()

    draft = Experiment.objects.get(slug="cups")
    assert draft.is_canary
    assert "canary" not in [check.code for check in failures(run_preflight(draft, now=timezone.now()))]
    assert "A/A canary" in page
