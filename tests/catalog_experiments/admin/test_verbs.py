"""The buttons: each asks first, does one thing, says why it refuses, and is open to the right roles only."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from catalog_experiments.models import Experiment, ExperimentEvent, ExperimentStatus
from catalog_experiments.service import CatalogExperimentService
from tests.builders import make_experiment, make_running_experiment

HOME = "/admin/merchandising/bundles"
ClientAs = Callable[[str], Client]
MAY = {
    "publish": {"merchandiser", "approver"},
    "pause": {"merchandiser", "approver", "operator"},
    "resume": {"merchandiser", "approver"},
    "renew": {"merchandiser", "approver"},
    "complete": {"merchandiser", "approver"},
    "conclude": {"merchandiser", "approver"},
    "delete": {"merchandiser", "approver"},
}


def version_of(experiment: Experiment) -> int:
    """Return the lock version as stored now."""
    return Experiment.objects.get(pk=experiment.pk).lock_version


def press(client: Client, experiment: Experiment, verb: str, **answers: object) -> int:
    """Post a verb's form as the page was last shown and return the status code."""
    data = {"lock_version": version_of(experiment), **answers}
    return client.post(f"{HOME}/{experiment.slug}/{verb}", data).status_code


@pytest.mark.parametrize("role", ["viewer", "merchandiser", "approver", "operator"])
@pytest.mark.parametrize("verb", MAY)
def test_verb_page__each_role__opens_for_those_who_may(client_as: ClientAs, role: str, verb: str) -> None:
    make_experiment()

    status = client_as(role).get(f"{HOME}/cup-saucer/{verb}").status_code

    assert status == (200 if role in MAY[verb] else 403)


def test_publish__draft__runs_and_leaves_an_event(client_as: ClientAs) -> None:
    experiment = make_experiment()

    status = press(client_as("merchandiser"), experiment, "publish", reason="ready")

    experiment.refresh_from_db()
    assert status == 302
    assert experiment.status == ExperimentStatus.RUNNING
    event = ExperimentEvent.objects.get(action="publish")
    assert (event.actor, event.reason) == ("user:a-merchandiser", "ready")


def test_publish__failing_checklist__refuses_and_changes_nothing(client_as: ClientAs) -> None:
    experiment = make_experiment(variants=[{"key": "control", "name": "Control", "is_control": True}])

    answer = client_as("merchandiser").post(f"{HOME}/cup-saucer/publish", {"lock_version": 0})

    experiment.refresh_from_db()
    assert answer.status_code == 409
    assert "failing checks" in answer.content.decode()
    assert experiment.status == ExperimentStatus.DRAFT


def test_pause__stale_page__says_so_and_changes_nothing(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    experiment = make_experiment()
    press(client, experiment, "publish")

    answer = client.post(f"{HOME}/cup-saucer/pause", {"lock_version": 0, "reason": "old page"})

    experiment.refresh_from_db()
    assert answer.status_code == 409
    assert "Somebody changed this experiment" in answer.content.decode()
    assert experiment.status == ExperimentStatus.RUNNING


def test_pause__without_reason__asks_for_one(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    experiment = make_experiment()
    press(client, experiment, "publish")

    status = press(client, experiment, "pause", reason="")

    experiment.refresh_from_db()
    assert status == 409
    assert experiment.status == ExperimentStatus.RUNNING


def test_pause_then_resume__by_people__ends_running(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    experiment = make_experiment()
    press(client, experiment, "publish")

    paused = press(client, experiment, "pause", reason="looks odd")
    resumed = press(client, experiment, "resume")

    experiment.refresh_from_db()
    assert (paused, resumed) == (302, 302)
    assert experiment.status == ExperimentStatus.RUNNING
    assert experiment.phases.count() == 1, "a person's pause keeps the phase"


def test_complete__with_conclusion__is_final(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    experiment = make_experiment()
    press(client, experiment, "publish")

    press(client, experiment, "complete", conclusion="won", winner_key="test", learnings="Saucers sell.")
    again = press(client, experiment, "publish")

    experiment.refresh_from_db()
    assert experiment.status == ExperimentStatus.COMPLETED
    assert experiment.winner is not None
    assert experiment.winner.key == "test"
    assert again == 409


def test_delete__draft__is_gone_but_its_trail_stays(client_as: ClientAs) -> None:
    experiment = make_experiment()

    status = press(client_as("merchandiser"), experiment, "delete")

    assert status == 302
    assert not Experiment.objects.filter(pk=experiment.pk).exists()
    assert ExperimentEvent.objects.filter(experiment_slug="cup-saucer", action__startswith="delete").exists()


@pytest.mark.parametrize("verb", MAY)
def test_verb_page__by_get__changes_nothing(client_as: ClientAs, verb: str) -> None:
    experiment = make_experiment()

    client_as("").get(f"{HOME}/cup-saucer/{verb}")

    assert version_of(experiment) == 0
    assert not ExperimentEvent.objects.exists()


def test_renew__running__opens_a_phase_that_counts_from_zero(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    experiment = make_experiment()
    press(client, experiment, "publish")
    offered = client.get(f"{HOME}/cup-saucer").content.decode()

    unexplained = press(client, experiment, "renew", reason="")
    explained = press(client, experiment, "renew", reason="The split was off; the tracking is repaired.")

    assert "Open a new phase" in offered
    assert (unexplained, explained) == (409, 302)
    assert experiment.phases.count() == 2
    event = ExperimentEvent.objects.get(action="open_phase")
    assert (event.actor, event.reason) == ("user:a-merchandiser", "The split was off; the tracking is repaired.")


def test_renew__draft__refuses_and_is_not_offered(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    experiment = make_experiment()

    status = press(client, experiment, "renew", reason="why not")

    assert status == 409
    assert "Open a new phase" not in client.get(f"{HOME}/cup-saucer").content.decode()


def test_conclude__completed_without_conclusion__fills_it_in(client_as: ClientAs) -> None:
    client = client_as("merchandiser")
    experiment = make_experiment()
    press(client, experiment, "publish")
    CatalogExperimentService("key:shop").complete("cup-saucer", now=timezone.now())
    page = client.get(f"{HOME}/cup-saucer").content.decode()

    status = press(client, experiment, "conclude", conclusion="lost", winner_key="", learnings="Too dear.")

    experiment.refresh_from_db()
    assert "State the conclusion: it was completed without one." in page
    assert status == 302
    assert (experiment.conclusion, experiment.learnings) == ("lost", "Too dear.")


@pytest.mark.parametrize(
    ("cause", "pending", "told"),
    [
        ("breached", {}, "a new phase opens and counts from zero"),
        ("outage", {}, "a new phase opens and counts from zero"),
        ("person", {}, "The same phase goes on, with the numbers so far."),
        ("person", {"name": "Other"}, "What was saved since goes live too"),
    ],
)
def test_resume__page__says_which_phase_it_will_be(
    client_as: ClientAs, cause: str, pending: dict[str, str], told: str
) -> None:
    experiment = make_running_experiment()
    CatalogExperimentService(actor="user:mara").pause("cup-saucer", now=timezone.now(), reason="Looks odd")
    Experiment.objects.filter(pk=experiment.pk).update(pause_cause=cause, pending_changes=pending)

    page = client_as("merchandiser").get(f"{HOME}/cup-saucer/resume").content.decode()

    assert told in page


@pytest.mark.parametrize("verb", ["complete", "conclude"])
def test_won__and_nothing_ships__is_done_once_somebody_says_that_it_is_meant(client_as: ClientAs, verb: str) -> None:
    client, experiment = client_as("merchandiser"), make_running_experiment()
    if verb == "conclude":
        CatalogExperimentService("key:shop").complete("cup-saucer", now=timezone.now())
    answers = {"conclusion": "won", "winner_key": "", "learnings": "", "lock_version": version_of(experiment)}

    asked = client.post(f"{HOME}/cup-saucer/{verb}", answers)
    experiment.refresh_from_db()
    conclusion_when_asked = experiment.conclusion
    meant = press(client, experiment, verb, **answers, is_meant="on")

    experiment.refresh_from_db()
    assert (asked.status_code, conclusion_when_asked) == (409, "")
    assert "It won, yet nothing ships: every shopper goes on seeing the control." in asked.content.decode()
    assert asked.context["form"].errors == {"is_meant": ["Tick this, or name the variant to ship."]}
    assert (meant, experiment.status, experiment.conclusion, experiment.winner) == (302, "completed", "won", None)


@pytest.mark.parametrize("conclusion", ["lost", "inconclusive", "stopped_early", "invalid"])
def test_complete__nothing_ships_of_what_did_not_win__asks_nothing(client_as: ClientAs, conclusion: str) -> None:
    experiment = make_running_experiment()

    status = press(client_as("merchandiser"), experiment, "complete", conclusion=conclusion, winner_key="")

    assert status == 302


def test_complete__without_a_conclusion__asks_for_one(client_as: ClientAs) -> None:
    experiment = make_running_experiment()

    status = press(client_as("merchandiser"), experiment, "complete", conclusion="", winner_key="", learnings="")

    experiment.refresh_from_db()
    assert status == 409
    assert experiment.status == ExperimentStatus.RUNNING


def test_publish__page__shows_payloads_as_they_were_typed(client_as: ClientAs) -> None:
    experiment = make_experiment()
    experiment.variants.filter(key="test").update(override_payload={"headline": "Für zwei"})

    page = unescape(client_as("merchandiser").get(f"{HOME}/cup-saucer/publish").content.decode())

    assert 'payload {"headline": "Für zwei"}' in page
