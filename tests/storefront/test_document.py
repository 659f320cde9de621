"""The document in memory: parsed once, swapped whole, fresh within a lease, gone stale safely."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Callable

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from catalog_experiments import publication
from storefront import decisions, document
from storefront.document import DocumentReader
from storefront.plans import parse
from tests.builders import NOON, make_running_experiment
from tests.storefront.conftest import Hold
from tests.storefront.entries import make_document, make_entry, make_variant


def test_parse__no_document__is_an_empty_snapshot() -> None:
    snapshot = parse(None)

    assert snapshot.version == 0
    assert not snapshot.plans


def test_parse__variants_in_any_order__puts_control_first() -> None:
    entry = make_entry(variants=[make_variant("test", 5_000, 10_000), make_variant("control", 0, 5_000)])

    plan = parse(make_document(entry)).plans["cup-saucer"]

    assert [variant.key for variant in plan.variants] == ["control", "test"]
    assert plan.ranges == ((0, 5_000), (5_000, 10_000))


@pytest.mark.parametrize(
    "broken",
    [
        {"variants": [make_variant("test", 0, 10_000)]},
        {"variants": [make_variant("control", 0, 5_000), {"key": "test"}]},
        {"salt": "x", "phase": "one"},
        {"variants": [{**make_variant("control", 0, 5_000), "range": [0]}]},
    ],
)
def test_parse__one_broken_entry__serves_its_control_and_spares_the_rest(broken: dict[str, object]) -> None:
    whole = make_entry(slug="other", anchor_product_slug="teapot")

    snapshot = parse(make_document(make_entry(**broken), whole))

    assert snapshot.plans["cup-saucer"].broken
    assert snapshot.plans["cup-saucer"].control.key == "control"
    assert not snapshot.plans["other"].broken


def test_parse__entry_without_slug__is_left_out() -> None:
    nameless = make_entry()
    del nameless["slug"]

    snapshot = parse(make_document(nameless, make_entry(slug="other")))

    assert set(snapshot.plans) == {"other"}


@pytest.mark.parametrize(
    ("statuses", "owner"),
    [
        (["completed", "paused", "running"], "running"),
        (["running", "paused"], "running"),
        (["paused", "completed"], "paused"),
    ],
)
def test_slots__several_experiments_on_a_page__running_goes_first(statuses: list[str], owner: str) -> None:
    entries = [make_entry(slug=status, status=status, shipped_variant="test") for status in statuses]

    slots = parse(make_document(*entries)).slots

    assert slots["cup"].slug == owner


def test_slots__shadowed_or_concluded_without_winner__own_nothing() -> None:
    entries = [make_entry(slug="shadowed", shadowed=True), make_entry(slug="over", status="completed")]

    slots = parse(make_document(*entries)).slots

    assert slots == {}


@pytest.mark.django_db
def test_refresh__same_version__asks_once_and_keeps_the_object(
    publish: Callable[[dt.datetime], int], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_running_experiment()
    publish(NOON)
    held = document.reader().last_seen()

    with django_assert_num_queries(1):
        document.reader().refresh()

    assert document.reader().last_seen() is held


@pytest.mark.django_db
def test_refresh__version_went_back__follows_the_database(publish: Callable[[dt.datetime], int]) -> None:
    make_running_experiment()
    publish(NOON)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM catalog_published_documents")

    document.reader().refresh()

    held = document.reader().last_seen()
    assert held is not None
    assert held.version == 0


def test_current__lease_ran_out__is_none(hold: Hold, monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> None:
    hold(make_entry())
    settings.STOREFRONT_STALE_SECONDS = 600
    monkeypatch.setattr(document.reader(), "_confirmed_at", time.monotonic() - 601)

    current = document.reader().current()

    assert current is None
    assert document.reader().last_seen() is not None


def test_refresh__database_away__keeps_the_lease_as_it_was(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    held = hold(make_entry())
    confirmed_before = document.reader()._confirmed_at
    monkeypatch.setattr(publication, "newest_version", _refuse)

    with pytest.raises(OperationalError):
        document.reader().refresh()

    assert document.reader().last_seen() is held
    assert document.reader()._confirmed_at == confirmed_before


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live_reader")
def test_thread__pause_published_elsewhere__shows_within_two_seconds() -> None:
    experiment = make_running_experiment(now=NOON)
    _publish()
    before = decisions.decide("someone", {}, slug=experiment.slug)
    experiment.status = "paused"
    experiment.save()
    _publish()

    started = time.monotonic()
    while (after := decisions.decide("someone", {}, slug=experiment.slug)) and after.reason != "DISABLED":
        assert time.monotonic() - started < 2
        time.sleep(0.02)
    document.renew()

    assert before is not None
    assert before.reason == "SPLIT"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live_reader")
def test_thread__database_comes_back__reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    make_running_experiment(now=NOON)
    _publish()
    monkeypatch.setattr(document, "POLL_SECONDS", 0.01)
    reader = DocumentReader()
    with monkeypatch.context() as broken:
        broken.setattr(publication, "newest_version", _refuse)
        first = reader.current()

    started = time.monotonic()
    while reader.current() is None:
        assert time.monotonic() - started < 5
        time.sleep(0.01)
    reader.stop()

    assert first is None
    assert not [thread for thread in threading.enumerate() if thread.name == "storefront-document"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live_reader")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork__child__starts_a_reader_of_its_own() -> None:
    experiment = make_running_experiment(now=NOON)
    _publish()
    decisions.decide("someone", {}, slug=experiment.slug)

    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = decisions.decide("someone", {}, slug=experiment.slug)
            os.write(write_end, f"{found.reason if found else None}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    answer = os.read(read_end, 100).decode()
    still_here = decisions.decide("someone", {}, slug=experiment.slug)
    document.reader().refresh()
    document.renew()

    assert answer == "SPLIT"
    assert still_here is not None
    assert still_here.reason == "SPLIT"


def _publish() -> None:
    with transaction.atomic():
        publication.publish_document(now=NOON)


def _refuse() -> int:
    raise OperationalError("the database is away")
