"""The document between real processes: publishers that race, a database that goes away, workers that all hear of it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson
import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from catalog_experiments import lifecycle, publication
from catalog_experiments.assignment import bucket, choose_variant
from catalog_experiments.models import Experiment, PublishedDocument
from catalog_experiments.publication.entries import read_entries
from smplat.embedded.cluster import SUPERUSER, Cluster
from smplat.local_environment import free_port
from storefront import document
from storefront.decisions import decide
from storefront.plans import Plan, parse
from tests.builders import make_bundle, make_experiment
from tests.databases import url_of_test_database
from tests.environment import PROJECT
from tests.processes import end, running, wait_until
from tests.storefront.goods import make_shelf

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 200
PACE = 100
"""Seconds that pass in one for the process that outlives its database."""

OUTAGE_SECONDS = 12 * 60
PATIENCE_SECONDS = 30
HEADLINE = "Only the test variant says this"
ACTOR = "user:mara"


def make_offer(slug: str, page: str) -> Experiment:
    """Make a draft on a page of its own: a control without offer, a test variant with a headline of its own."""
    bundle = make_bundle(bundle_slug=f"{slug}-pair", primary_product_slug=page)
    control = {"key": "control", "name": "Control", "weight": 50, "is_control": True, "bundle": None}
    test = {"key": "test", "name": "Test", "weight": 50, "is_control": False, "bundle": bundle}
    return make_experiment(
        slug=slug, name=slug, variants=[control, test | {"override_payload": {"headline": HEADLINE}}]
    )


def publish(experiment: Experiment) -> Experiment:
    return lifecycle.publish(experiment.pk, actor=ACTOR, now=timezone.now())


def pause(experiment: Experiment) -> Experiment:
    return lifecycle.pause(experiment.pk, actor=ACTOR, now=timezone.now(), reason="odd numbers")


def unit_in_test(plan: Plan) -> str:
    """Return a visitor's id that the test variant holds."""
    names = (f"visitor-number-{number:06}" for number in itertools.count())
    return next(name for name in names if choose_variant(plan.ranges, bucket(plan.salt, name)) == 1)


def newest_plan(slug: str) -> Plan:
    return parse(publication.load_document()).plans[slug]


@contextlib.contextmanager
def person() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that carries out the verbs written to it."""
    environment = {**os.environ, "DATABASE_URL": url_of_test_database()}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.storefront.programs.act"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env=environment,
        cwd=PROJECT,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            end(process)


def tell(process: subprocess.Popen[bytes], *words: object) -> None:
    assert process.stdin is not None
    process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
    assert readable, "the process said nothing"
    line: bytes = process.stdout.readline()
    return line.decode().strip()


def test_pause_one_while_another_publishes__two_hundred_rounds__newest_document_is_the_table() -> None:
    publish(make_offer("first", "cup"))
    publish(make_offer("second", "teapot"))
    stale = []

    with person() as mover, person() as publisher:
        for number in range(ROUNDS):
            tell(mover, "move", "first")
            tell(publisher, "publish", "second", number)
            assert (hear(mover), hear(publisher)) == ("move", "publish")
            served = PublishedDocument.objects.latest("version").document["experiments"]
            if served != orjson.loads(orjson.dumps(read_entries())):
                stale.append(number)

    assert stale == []
    versions = list(PublishedDocument.objects.order_by("version").values_list("version", flat=True))
    assert versions == list(range(1, 2 + 2 * ROUNDS + 1))


def test_last_experiment_paused__document_is_valid_and_everybody_gets_the_control() -> None:
    experiment = publish(make_offer("only", "cup"))
    pause(experiment)
    document.renew()

    document.reader().refresh()
    snapshot = document.reader().last_seen()
    decision = decide("anybody", {}, product_slug="cup")

    assert snapshot is not None
    assert [plan.status for plan in snapshot.plans.values()] == ["paused"]
    assert decision is not None
    assert (decision.variant_key, decision.reason, decision.is_enrolled) == ("control", "DISABLED", False)
    document.renew()


@pytest.fixture
def other_database(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that may be stopped, holding what a reader reads: a copy of this database's two tables."""
    cluster = Cluster(tmp_path / "postgres", durable=False)
    cluster.ensure_running()
    with (
        psycopg.connect(host=str(cluster.sockets), user=SUPERUSER, dbname="smplat", autocommit=True) as there,
        connection.cursor() as here,
    ):
        for table in ("catalog_published_documents", "catalog_api_keys"):
            here.execute(
                "SELECT string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ')"
                " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                [table],
            )
            there.execute(f"CREATE TABLE {table} ({here.fetchone()[0]})".encode())
    yield cluster
    cluster.stop()


def copy_documents(cluster: Cluster) -> None:
    """Bring the published documents over."""
    with psycopg.connect(host=str(cluster.sockets), user=SUPERUSER, dbname="smplat", autocommit=True) as there:
        for row in PublishedDocument.objects.all():
            there.execute(
                "INSERT INTO catalog_published_documents (version, document, etag, issued_at) VALUES (%s, %s, %s, %s)",
                [row.version, row.text, row.etag, row.issued_at],
            )


class Heard(NamedTuple):
    """What the watching process said: its answer, and how long its document had not been confirmed, in its seconds."""

    reason: str
    variant_key: str
    is_enrolled: bool
    age_seconds: float


def next_change(watcher: subprocess.Popen[bytes]) -> Heard:
    said = json.loads(hear(watcher))
    reason, variant_key, is_enrolled = said["answer"]
    return Heard(reason, variant_key, is_enrolled, said["age_seconds"])


def test_database_away_for_twelve_minutes__served_then_control_then_back(other_database: Cluster) -> None:
    publish(make_offer("only", "cup"))
    copy_documents(other_database)
    unit_id = unit_in_test(newest_plan("only"))
    environment = {**os.environ, "DATABASE_URL": f"postgres://{SUPERUSER}@/{other_database.sockets}/smplat"}
    command = [sys.executable, "-m", "tests.storefront.programs.watch", str(PACE), "only", unit_id]

    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=PROJECT,
        start_new_session=True,
    ) as watcher:
        try:
            before = next_change(watcher)
            while before.reason == "ERROR":  # a slow machine asks before the first document is there
                before = next_change(watcher)
            other_database.stop()
            stopped_at = time.monotonic()
            during = next_change(watcher)
            time.sleep(max(0.0, stopped_at + OUTAGE_SECONDS / PACE - time.monotonic()))
            other_database.ensure_running()
            after = next_change(watcher)
        finally:
            end(watcher)

    assert before[:3] == ("SPLIT", "test", True)
    assert during[:3] == ("ERROR", "control", False)
    assert 600 < during.age_seconds < 660
    assert after[:3] == ("SPLIT", "test", True)
    assert after.age_seconds < 120


class Sight(NamedTuple):
    """One answer of the shop: when it was asked for, which process gave it, and whether it held the test variant."""

    asked_at: float
    process: str
    is_test: bool


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    return free_port(0)


def look(port: int, unit_id: str) -> Sight:
    """Open the cup's page over a connection of its own, so that any process may answer."""
    asked_at = time.monotonic()
    browser = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        headers = {"Cookie": f"visitor={unit_id}", "User-Agent": "Mozilla/5.0 (X11) Firefox/140.0"}
        browser.request("GET", "/products/cup", headers=headers)
        answer = browser.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body[:500]
        return Sight(asked_at, answer.headers["X-Process"], HEADLINE in body)
    finally:
        browser.close()


def test_pause__server_of_four_processes__shows_in_each_within_two_seconds(port: int, tmp_path: Path) -> None:
    make_shelf()
    experiment = publish(make_offer("only", "cup"))
    unit_id = unit_in_test(newest_plan("only"))
    options = ["--interface", "wsgi", "--no-ws", "--workers", "4", "--blocking-threads", "2"]
    command = [sys.executable, "-m", "granian", *options, "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "DATABASE_URL": url_of_test_database(), "SMPLAT_ROLE": "web"}
    sights: list[Sight] = []

    def all_four_show_the_test_variant() -> bool:
        with contextlib.suppress(OSError):
            sights.append(look(port, unit_id))
        return len({sight.process for sight in sights if sight.is_test}) == 4

    with running(
        [*command, "tests.storefront.programs.labeled:application"],
        log=tmp_path / "server.log",
        env=environment,
        cwd=PROJECT,
    ):
        wait_until(all_four_show_the_test_variant, 40)
        pause(experiment)
        paused_at = time.monotonic()
        after: list[Sight] = []
        while time.monotonic() < paused_at + 2 or len({sight.process for sight in after if not sight.is_test}) < 4:
            after.append(look(port, unit_id))
            assert time.monotonic() < paused_at + 10

    late = [sight for sight in after if sight.is_test and sight.asked_at > paused_at + 2]
    assert late == []
    assert len({sight.process for sight in after}) == 4
