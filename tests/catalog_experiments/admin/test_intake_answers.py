"""The control center tells what became of the reports of the last day, and has words for every answer there is."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from catalog_experiments import api, intake
from catalog_experiments.admin.intake_answers import UNKNOWN, answer_table, meaning_of
from catalog_experiments.intake import Answered
from catalog_experiments.models import IntakeOutcome
from tests.builders import NOON

HOME = "/admin/merchandising/bundles"
TITLE = "Reports of the last 24 hours that were not plainly stored"
ClientAs = Callable[[str], Client]
CODE = re.compile(r'(?:Refused|InvalidItem|ItemResult)\(\s*(?:index, "(?:accepted|conflict)", )?"([a-z_]+)"')


def add(outcome: str, code: str, count: int, *, kind: str = "orders", hour_at: dt.datetime = NOON) -> None:
    IntakeOutcome.objects.create(kind=kind, hour_at=hour_at, outcome=outcome, code=code, report_count=count)


def answered_codes() -> set[str]:
    """Return the codes of refusals and conflicts that stand in the sources of intake and of its API."""
    folders = [Path(package.__file__ or "").parent for package in (intake, api)]
    sources = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
    return {code for source in sources for code in CODE.findall(source)}


def test_meaning__of_every_code_in_the_sources__is_told_in_words() -> None:
    codes = answered_codes()

    assert {"currency_invalid", "erased", "not_running", "unknown_field", "visitor_taken"} <= codes
    assert {code for code in codes if meaning_of(Answered("orders", "rejected", code, 1, NOON)) is UNKNOWN} == set()


@pytest.mark.parametrize(
    ("outcome", "code", "words", "is_good"),
    [
        ("duplicate", "", "Known already", True),
        ("conflict", "content_differs", "Another content under a known order", False),
        ("rejected", "placed_at_invalid", "Refused: placed_at cannot be read", False),
        ("accepted", "excluded", "Stored, not counted: bots, staff or tests", True),
        ("rejected", "of_tomorrow", "Refused", False),
    ],
)
def test_meaning__of_an_answer__says_what_became_of_the_report(
    outcome: str, code: str, words: str, is_good: bool
) -> None:
    meaning = meaning_of(Answered("orders", outcome, code, 1, NOON))

    assert (meaning.words, meaning.is_good) == (words, is_good)
    assert meaning.remedy


@pytest.mark.django_db
def test_table__what_is_to_look_into__comes_first() -> None:
    add("duplicate", "", 900)
    add("conflict", "content_differs", 2)
    add("conflict", "content_differs", 1, hour_at=NOON - dt.timedelta(hours=3))
    add("rejected", "too_late", 7, kind="exposures")

    table = answer_table(now=NOON)

    told = [(row.kind, row.code, row.count) for row in table.rows]
    assert told == [("Exposures", "too_late", 7), ("Orders", "content_differs", 3), ("Orders", "duplicate", 900)]
    assert (table.open_count, table.rows[1].last_hour_at) == (10, NOON)


def test_landing__conflict_within_a_day__is_shown_with_its_number_and_what_to_do(client_as: ClientAs) -> None:
    add("conflict", "content_differs", 1_234, hour_at=timezone.now().replace(minute=0, second=0, microsecond=0))

    page = client_as("viewer").get(HOME).content.decode()

    assert TITLE in page
    assert "1,234 to look into" in page
    assert "The first report stands." in page


def test_landing__duplicates_only__says_that_there_is_nothing_to_do(client_as: ClientAs) -> None:
    add("duplicate", "", 5, hour_at=timezone.now().replace(minute=0, second=0, microsecond=0))

    page = " ".join(client_as("viewer").get(HOME).content.decode().split())

    assert TITLE in page
    assert '<span class="cc-note"> nothing to do </span>' in page


def test_landing__nothing_but_plain_reports__does_not_mention_them(client_as: ClientAs) -> None:
    add("conflict", "content_differs", 1, hour_at=timezone.now() - dt.timedelta(days=2))

    page = client_as("viewer").get(HOME).content.decode()

    assert TITLE not in page
