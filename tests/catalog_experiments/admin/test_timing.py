"""Schedule and ramp in the control center: the form's fields and rows, the card's sentences, the two buttons."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.utils import timezone

from catalog_experiments.admin.timing import timing_sentences
from catalog_experiments.models import Experiment, PauseCause, RampState
from tests.builders import NOON, make_experiment
from tests.catalog_experiments.acting import edit, pause, publish
from tests.catalog_experiments.admin.test_drafts import HOME, filled, row

ClientAs = Callable[[str], Client]
BERLIN = ZoneInfo("Europe/Berlin")
PLAN: list[dict[str, Any]] = [
    {"coverage": 500, "minimum_hours": 24, "minimum_sample": 1200},
    {"coverage": 2500},
    {"coverage": 10_000},
]


def ramp_rows(*steps: dict[str, str]) -> dict[str, str]:
    """Return the ramp's rows as a browser posts them."""
    rows = {"ramp-TOTAL_FORMS": str(len(steps)), "ramp-INITIAL_FORMS": "0"}
    usual = {"on_guardrail": "roll_back", "on_sample_ratio": "hold", "on_hold": "hold"}
    for index, own in enumerate(steps):
        rows |= {f"ramp-{index}-{name}": value for name, value in (usual | own).items()}
    return rows


def sentences(experiment: Experiment, *, now: dt.datetime, **samples: int) -> str:
    fresh = Experiment.objects.select_related("current_phase").get(pk=experiment.pk)
    return " ".join(timing_sentences(fresh, {}, samples, now=now))


@pytest.mark.usefixtures("bundles")
@override_settings(CATALOG_SHOP_TIME_ZONE="Europe/Berlin")
def test_new__schedule_ramp_and_advanced_fields__are_stored(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    page = filled(
        scheduled_start_at="2099-07-01T14:00",
        scheduled_end_at="2099-08-01T14:00",
        planned_sample_size="4000",
        stop_at_planned_sample="on",
        owner="a-merchandiser",
        alpha="0.02",
        mode="shadow",
        pause_rule="evidence",
        consecutive="3",
        attribution_window_days="14",
        primary_metric="conversion",
        unit_kind="customer",
        targeting='{"country": "DE"}',
        **ramp_rows(
            {"coverage_percent": "5", "minimum_hours": "24", "minimum_sample": "1200"},
            {"coverage_percent": "100", "on_hold": "warn"},
            {"coverage_percent": ""},
        ),
    )

    answer = client.post(f"{HOME}/new", page)

    assert answer.status_code == 302, answer.content.decode()
    draft = Experiment.objects.get()
    assert draft.scheduled_start_at == dt.datetime(2099, 7, 1, 12, 0, tzinfo=dt.UTC)
    assert [(step["coverage"], step["minimum_sample"], step["on_hold"]) for step in draft.ramp_plan] == [
        (500, 1200, "hold"),
        (10_000, 0, "warn"),
    ]
    assert draft.owner == User.objects.get(username="a-merchandiser")
    assert draft.guardrail_config == {"min_acceptance_rate": 0.1, "alpha": 0.02, "mode": "shadow"}
    assert (draft.attribution_window_days, draft.primary_metric, draft.unit_kind) == (14, "conversion", "customer")
    assert draft.targeting == {"country": "DE"}
    assert draft.stop_at_planned_sample is True


@pytest.mark.usefixtures("bundles")
def test_new__twelve_variants__are_stored(client_as: ClientAs) -> None:
    rows: dict[str, str] = {}
    for index in range(12):
        rows |= row(index, key=f"v{index}", name=f"V {index}", bundle_slug="cups-a", weight="1")

    answer = client_as("merchandiser").post(f"{HOME}/new", filled(**{"variants-TOTAL_FORMS": "12"}, **rows))

    assert answer.status_code == 302, answer.content.decode()
    assert Experiment.objects.get().variants.count() == 12


@pytest.mark.usefixtures("bundles")
@override_settings(CATALOG_SHOP_TIME_ZONE="Europe/Berlin")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheduled_start_at": "2099-03-29T02:30"}, "does not exist that day"),
        ({"scheduled_start_at": "2099-10-25T02:30"}, "comes twice that day"),
        ({"scheduled_start_at": "tomorrow"}, "Write a time such as"),
        ({"scheduled_end_at": "2001-01-01T00:00"}, "is past"),
        ({"alpha": "2"}, "less than or equal to 0.5"),
        ({"alpha": "0.5"}, "above 0 and below 0.5"),
        ({"owner": "nobody-here"}, "nobody-here"),
        ({"targeting": '{"$nonsense": 1}'}, "$nonsense"),
        (ramp_rows({"coverage_percent": "5"}, {"coverage_percent": "4"}), "only rises"),
        (ramp_rows({"coverage_percent": "5.01"}), "does not split exactly"),
        (ramp_rows({"coverage_percent": "5", "minimum_hours": "-1"}), "greater than or equal to 0"),
    ],
)
def test_new__wrong_value__stands_beside_its_field(client_as: ClientAs, changes: dict[str, str], message: str) -> None:
    answer = client_as("merchandiser").post(f"{HOME}/new", filled(**changes))

    assert answer.status_code == 422
    assert message in answer.content.decode().replace("&#x27;", "'")
    assert not Experiment.objects.exists()


@override_settings(CATALOG_SHOP_TIME_ZONE="Europe/Berlin")
def test_edit__saved_untouched__keeps_the_very_moment_and_plan(client_as: ClientAs) -> None:
    second_half_past_two = dt.datetime(2099, 10, 25, 1, 30, 17, tzinfo=dt.UTC)
    draft = make_experiment(slug="cups", scheduled_end_at=second_half_past_two)
    edit(draft, ramp_plan=[{"coverage": 500}, {"coverage": 10_000}])
    before = Experiment.objects.get()
    names = {"variants-0-bundle_slug": "cups-control", "variants-1-bundle_slug": "cups-test"}
    steps = ramp_rows({"coverage_percent": "5.0", "minimum_hours": "24"}, {"coverage_percent": "100"})

    page = client_as("merchandiser").get(f"{HOME}/cups/edit").content.decode()
    answer = Client().get(f"{HOME}/cups/edit")
    saved = client_as("").post(
        f"{HOME}/cups/edit",
        filled(lock_version=str(before.lock_version), scheduled_end_at="2099-10-25T02:30", **names, **steps),
    )

    after = Experiment.objects.get()
    assert "2099-10-25T02:30" in page
    assert answer.status_code == 302
    assert saved.status_code == 302, saved.content.decode()
    assert after.scheduled_end_at == second_half_past_two
    assert after.ramp_plan == before.ramp_plan


@pytest.mark.django_db
@override_settings(CATALOG_SHOP_TIME_ZONE="Europe/Berlin")
def test_sentences__climbing__say_step_next_and_what_is_waited_for() -> None:
    experiment = publish(make_experiment(ramp_plan=PLAN))

    told = sentences(experiment, now=NOON + dt.timedelta(hours=1), control=400, test=310)

    assert told == (
        "Ramp: step 1 of 3: 5 %, next 25 % not before Tue 3 Mar 13:00 and 1,200 visitors a variant; "
        "waiting for: time, sample (310 so far)."
    )


@pytest.mark.django_db
@override_settings(CATALOG_SHOP_TIME_ZONE="Europe/Berlin")
def test_sentences__draft_with_schedule__name_both_clocks() -> None:
    draft = make_experiment(scheduled_start_at=NOON, scheduled_end_at=NOON + dt.timedelta(days=1))

    assert sentences(draft, now=NOON) == (
        "Starts by itself on Mon 2 Mar 2026, 13:00 Europe/Berlin (12:00 UTC). "
        "Ends by itself on Tue 3 Mar 2026, 13:00 Europe/Berlin (12:00 UTC)."
    )


@pytest.mark.django_db
def test_sentences__refused_schedule__says_why() -> None:
    draft = make_experiment(scheduled_start_at=NOON, schedule_refusal="The bundle is not active.")

    assert sentences(draft, now=NOON) == "The schedule was not kept: The bundle is not active."


def test_pages__of_a_climbing_ramp__show_it_and_offer_both_buttons(client_as: ClientAs) -> None:
    publish(make_experiment(ramp_plan=PLAN), now=timezone.now())
    client = client_as("merchandiser")

    landing = client.get(HOME).content.decode()
    detail = client.get(f"{HOME}/cup-saucer").content.decode()

    assert "step 1 of 3" in landing
    assert "step 1 of 3" in detail
    assert f"{HOME}/cup-saucer/advance_ramp" in detail
    assert f"{HOME}/cup-saucer/stop_ramp" in detail


def test_buttons__advance_and_stop__move_the_ramp(client_as: ClientAs) -> None:
    experiment = publish(make_experiment(ramp_plan=PLAN), now=timezone.now())
    client = client_as("merchandiser")

    page = client.get(f"{HOME}/cup-saucer/advance_ramp")
    advanced = client.post(f"{HOME}/cup-saucer/advance_ramp", {"lock_version": experiment.lock_version, "reason": ""})
    silent = client.post(f"{HOME}/cup-saucer/stop_ramp", {"lock_version": experiment.lock_version + 1, "reason": ""})
    stopped = client.post(
        f"{HOME}/cup-saucer/stop_ramp", {"lock_version": experiment.lock_version + 1, "reason": "stock is short"}
    )

    experiment.refresh_from_db()
    assert [answer.status_code for answer in (page, advanced, silent, stopped)] == [200, 302, 409, 302]
    assert (experiment.coverage, experiment.ramp_state) == (2500, RampState.STOPPED)


def test_buttons__viewer__may_not(client_as: ClientAs) -> None:
    publish(make_experiment(ramp_plan=PLAN), now=timezone.now())

    assert client_as("viewer").get(f"{HOME}/cup-saucer/advance_ramp").status_code == 403


def test_publish_page__pending_share_and_ramp__says_what_changes_and_that_a_phase_opens(client_as: ClientAs) -> None:
    experiment = publish(make_experiment(coverage=5000), now=timezone.now())
    edit(experiment, coverage=2000, ramp_plan=[{"coverage": 2000}, {"coverage": 10_000}])

    page = client_as("merchandiser").get(f"{HOME}/cup-saucer/publish").content.decode()

    assert "20 %; fewer visitors open a new phase that counts from zero" in page
    assert "20 %, 100 %" in page


def test_detail__paused_by_its_ramp__says_so_and_what_to_do(client_as: ClientAs) -> None:
    experiment = publish(make_experiment(ramp_plan=PLAN), now=timezone.now())
    pause(experiment, now=timezone.now(), cause=PauseCause.SCHEDULE, reason="Rolled back from step 1.")

    page = client_as("viewer").get(f"{HOME}/cup-saucer").content.decode()

    assert "Paused by its ramp" in page
    assert "Rolled back from step 1." in page
    assert "advance the ramp by hand" in page
