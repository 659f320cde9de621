"""Seen by a visitor: what was published is looked for on the live server, over HTTP, and missed aloud."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from catalog_experiments import lifecycle
from catalog_experiments.confirmation import confirm_due
from catalog_experiments.confirmation.expectations import expectations
from catalog_experiments.confirmation.visits import Promise, look
from catalog_experiments.models import Experiment, Exposure, LiveConfirmation, PublishedDocument
from notifications.models import Alert
from storefront import document
from tests.builders import make_experiment
from tests.storefront.entries import make_entry, make_variant
from tests.storefront.goods import make_product

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def shop(live_server: LiveServer, settings: Settings) -> Iterator[LiveServer]:
    """Serve the shop for real, with a client key, and let its document reader run."""
    settings.API_BASE_URL = settings.STOREFRONT_BASE_URL = live_server.url
    settings.STOREFRONT_CLIENT_KEY = "test-client-key"
    document.renew()
    yield live_server
    document.renew()


def launched(**overrides: Any) -> Experiment:
    """Publish an experiment on the cup's page."""
    for slug in ("cup", "saucer"):
        make_product(slug=slug)
    experiment = make_experiment(**overrides)
    return lifecycle.publish(experiment.pk, actor="user:mia", now=timezone.now())


def paused(experiment: Experiment) -> Experiment:
    """Pause it by hand."""
    return lifecycle.pause(experiment.pk, actor="user:mia", now=timezone.now(), reason="a look at the stock")


def newest(experiment: Experiment) -> LiveConfirmation:
    """Return the last promise made to its visitors."""
    return LiveConfirmation.objects.filter(experiment=experiment).latest("document_version")


def settled(experiment: Experiment) -> LiveConfirmation:
    """Look until the newest promise is confirmed, as the sweeper does, a second apart by the promises' clock."""
    document.reader().refresh()
    for number in range(3, 8):
        confirm_due(now=newest(experiment).promised_at + number * 6 * SECOND)
    return newest(experiment)


@pytest.mark.django_db(transaction=True)
def test_publish__server_serves_it__is_confirmed_and_nobody_is_exposed(shop: LiveServer) -> None:
    experiment = launched()

    found = settled(experiment)

    assert (found.status, found.problem) == ("running", "")
    assert found.confirmed_at is not None
    assert Exposure.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_pause__server_serves_the_control__is_confirmed_and_supersedes_the_launch(shop: LiveServer) -> None:
    experiment = launched()
    paused(experiment)

    found = settled(experiment)

    assert (found.status, found.problem, found.confirmed_at is not None) == ("paused", "", True)
    launch = LiveConfirmation.objects.earliest("document_version")
    assert (launch.confirmed_at, launch.next_look_at) == (None, None)


@pytest.mark.django_db(transaction=True)
def test_look__paused_with_targeting_and_a_page_that_goes_on__is_found(shop: LiveServer) -> None:
    launched(targeting={"country": {"$ne": "XX"}})
    document.reader().refresh()
    published = PublishedDocument.objects.latest("version")
    entry = {**published.document["experiments"][0], "status": "paused"}

    problem = look(Promise(entry, published.version, published.document["issued_at"]))

    assert problem == "The product page gives test to a visitor who should get control."


@pytest.mark.django_db(transaction=True)
def test_pause__a_process_keeps_the_old_document__people_are_told_once_and_again_when_it_is_over(
    shop: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = launched()
    document.reader().refresh()
    with monkeypatch.context() as frozen:
        frozen.setattr(document.DocumentReader, "refresh", lambda self: None)
        paused(experiment)
        promised_at = newest(experiment).promised_at

        first = confirm_due(now=promised_at + 3 * SECOND)
        told = [confirm_due(now=promised_at + dt.timedelta(minutes=minutes)).alerts for minutes in (1, 3, 5)]

    assert (first.unconfirmed, first.alerts, told) == (1, 0, [1, 0, 0])
    assert "still serves document" in newest(experiment).problem
    document.reader().refresh()
    over = confirm_due(now=promised_at + dt.timedelta(minutes=7))
    assert (over.confirmed, over.alerts, newest(experiment).problem) == (1, 1, "")
    kinds = list(Alert.objects.order_by("created_at").values_list("kind", "severity"))
    assert kinds[-2:] == [("live_unconfirmed", "critical"), ("live_confirmed", "info")]


@pytest.mark.django_db(transaction=True)
def test_confirm_due__nobody_answers__says_which_place(settings: Settings) -> None:
    settings.API_BASE_URL = settings.STOREFRONT_BASE_URL = "http://127.0.0.1:9"
    experiment = launched()

    result = confirm_due(now=newest(experiment).promised_at + 3 * SECOND)

    assert (result.confirmed, result.unconfirmed) == (0, 1)
    assert newest(experiment).problem == "The product page cannot be read (ConnectionError)."


@pytest.mark.django_db
def test_confirm_due__nothing_due__looks_at_nothing(settings: Settings) -> None:
    settings.API_BASE_URL = settings.STOREFRONT_BASE_URL = "http://127.0.0.1:9"
    experiment = launched()

    result = confirm_due(now=newest(experiment).promised_at + SECOND)

    assert (result.confirmed, result.unconfirmed, newest(experiment).looks) == (0, 0, 0)


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        ({}, ["control", "test"]),
        ({"status": "paused"}, ["control", "control"]),
        ({"status": "completed", "shipped_variant": "test"}, ["test", "test"]),
        ({"shadowed": True}, ["control", "control"]),
        ({"targeting": {"country": "DE"}}, ["control"]),
        ({"filters": [{"seed": "group", "ranges": [[0, 50]]}]}, ["control", "test"]),
        (
            {"variants": [make_variant("control", 0, 9_999, bundle=None), make_variant("test", 9_999, 10_000)]},
            ["control", "test"],
        ),
    ],
    ids=["running", "paused", "shipped", "shadowed", "targeted", "in a group", "one basis point"],
)
def test_expectations__by_state__name_the_variant_each_visitor_gets(overrides: dict[str, Any], keys: list[str]) -> None:
    found = expectations(make_entry(**overrides))

    assert [expected.variant_key for expected in found] == keys
    assert len({expected.unit_id for expected in found}) == len(found)
