"""No statement of the product reads facts from end to end, unless it says why: seen at a million exposures."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

import catalog_experiments
from storefront import document
from tests.plans import page
from tests.plans.history import make_history
from tests.plans.page import ByName
from tests.plans.plan import FACTS
from tests.plans.statements import HEAVY
from tests.plans.verbs import verbs
from tests.plans.watching import Seen, Watch

pytestmark = pytest.mark.django_db

MONTHS = {
    "the backfill of one experiment": {"2024_04", "2024_06"},
    "the first count of one phase": {"2024_06"},
    "retention": {"2024_01", "2024_02"},
}
"""Months that may be read from end to end, or as whole phases, by verbs about a few phases."""

WHOLE_PHASES = re.compile(r"\.measure_all|\.store_all|\._counts_by_day|\.exposures\.COUNT$")
PLACE = re.compile(r"\{\w*\}|%\(\w+\)s|%s")


@pytest.fixture(scope="module")
def seen(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> ByName:
    """Run everything once in a copy of the empty test database, which is dropped with its million rows."""
    with django_db_blocker.unblock():
        usual, watch = connection.settings_dict["NAME"], Watch()
        for _ in own_database(usual, f"{usual}_plans"):
            make_history()
            for name, verb in verbs():
                with watch.during(name):
                    verb()
            document.renew()  # its reader has a connection of its own
    by_name: dict[str, list[Seen]] = {}
    for each in watch.seen:
        by_name.setdefault(each.name, []).append(each)
    if "WRITE_QUERY_PLANS" in os.environ:
        page.write(by_name)
    return by_name


def own_database(usual: str, name: str) -> Iterator[None]:
    """Connect to a copy of a database, and drop it afterwards."""
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {usual}")
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_statements__that_touch_what_grows__are_those_that_are_listed(seen: ByName) -> None:
    assert set(seen) == set(HEAVY)


def test_statements__none_reads_what_grows_from_end_to_end__but_for_a_reason(seen: ByName) -> None:
    reading_all = {(name, each.verb) for name, found in seen.items() for each in found if reads_all(each)}

    assert reading_all == {(name, verb) for name, about in HEAVY.items() for verb in about.whole}


def reads_all(each: Seen) -> bool:
    return any(read.is_whole for read in each.plan.reads())


def test_statements__about_whole_phases__open_no_other_month(seen: ByName) -> None:
    opened = defaultdict[str, set[str]](set)

    for name, found in seen.items():
        for each in found:
            if each.verb in MONTHS and WHOLE_PHASES.search(name):
                opened[each.verb] |= {read.partition[-7:] for read in each.plan.reads() if read.table == FACTS[0]}

    assert {verb: months - {"default"} for verb, months in opened.items()} == MONTHS


def test_constants__that_name_facts__were_all_run(seen: ByName) -> None:
    run = {each.text for found in seen.values() for each in found}

    missed = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, str)
        and name.isupper()
        and re.search(rf"(FROM|JOIN|INTO|UPDATE) ({'|'.join(FACTS)})\b", value)
        if not any(all(piece in text for piece in PLACE.split(value)) for text in run)
    ]

    assert missed == []


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(catalog_experiments.__path__, "catalog_experiments."):
        if ".migrations." not in found.name:
            yield importlib.import_module(found.name)


def test_page__names_the_indexes_that_serve(seen: ByName) -> None:
    assert page.indexes_told() == page.indexes_seen(seen), "after a change that is meant, run `make plans`"
