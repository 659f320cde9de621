"""Calls are counted by the minute in one place for all processes, and who cannot be counted is let through."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys

import pytest
from django.db import connection

from catalog_experiments import allowances
from catalog_experiments.access import Caller
from catalog_experiments.allowances import Allowance, name_of, take
from catalog_experiments.models import CallCount
from tests.builders import NOON
from tests.catalog_experiments.acting import at_once
from tests.databases import url_of_test_database
from tests.environment import PROJECT

SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
CALL = "tests.catalog_experiments.programs.call"


def left(name: str = "shop", *, limit: int = 3, now: dt.datetime = NOON) -> int | None:
    allowance = take(name, limit=limit, now=now)
    return allowance and allowance.left


@pytest.mark.django_db(transaction=True)
def test_take__two_processes__share_one_count() -> None:
    environment = {**os.environ, "DATABASE_URL": url_of_test_database()}
    command = [sys.executable, "-m", CALL, "shop", "5", NOON.isoformat(), "3"]

    here = [left(limit=5), left(limit=5)]
    there = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=True, timeout=60).stdout

    assert (here, json.loads(there)) == ([4, 3], [2, 1, 0])
    assert take("shop", limit=5, now=NOON) == Allowance(limit=5, left=-1, reset_seconds=60)


@pytest.mark.django_db(transaction=True)
def test_take__on_several_connections_at_once__loses_no_call() -> None:
    def call() -> None:
        for number in range(25):
            take("shop", limit=1_000, now=NOON)
            take(f"other-{number}", limit=1_000, now=NOON)

    raised = at_once(call, call, call, call)

    assert raised == [None] * 4
    assert CallCount.objects.get(caller="shop").calls == 100
    assert set(CallCount.objects.exclude(caller="shop").values_list("calls", flat=True)) == {4}


@pytest.mark.django_db
def test_take__next_minute__starts_again_and_each_name_for_itself() -> None:
    spent = [left() for _ in range(4)]

    assert spent == [2, 1, 0, -1]
    assert left("other") == 2
    assert left(now=NOON + 59 * SECOND) == -2
    assert left(now=NOON + MINUTE) == 2


@pytest.mark.django_db
def test_take__clock_behind_that_of_another_host__counts_in_the_newer_minute() -> None:
    left(now=NOON + MINUTE)

    assert take("shop", limit=3, now=NOON + 50 * SECOND) == Allowance(limit=3, left=1, reset_seconds=70)


@pytest.mark.django_db
def test_take__without_limit__counts_nothing() -> None:
    assert left(limit=0) is None
    assert not CallCount.objects.exists()


@pytest.mark.django_db
def test_take__names_that_stay_away__are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowances, "_cleared_at", NOON - MINUTE)
    for name, minutes in (("gone", 0), ("shop", 0), ("lately", 2)):
        left(name, now=NOON + minutes * MINUTE)

    left(now=NOON + 6 * MINUTE)

    assert set(CallCount.objects.values_list("caller", "calls")) == {("shop", 1), ("lately", 1)}


@pytest.mark.django_db(transaction=True)
def test_take__database_that_cannot_count__lets_pass(caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE catalog_api_call_counts RENAME TO away")
        try:
            passed = [left(limit=1) for _ in range(3)]
        finally:
            cursor.execute("ALTER TABLE away RENAME TO catalog_api_call_counts")

    assert passed == [None] * 3
    assert "could not be counted" in caplog.text


@pytest.mark.django_db
def test_counts__are_kept_without_write_ahead_log() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'catalog_api_call_counts'")

        assert cursor.fetchone() == ("u",)


def test_name__of_a_stranger__hides_the_address() -> None:
    strangers = {name_of(None, address) for address in ("203.0.113.7", "203.0.113.8", "203.0.113.7")}

    assert len(strangers) == 2
    assert all(re.fullmatch("[0-9a-f]{40}", name) for name in strangers)
    assert name_of(Caller("checkout", "server", frozenset()), "203.0.113.7") == "checkout"
