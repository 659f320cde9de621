"""manage.py verify_decisions: recomputes every recorded verdict, and exits 1 at the first that differs."""

from __future__ import annotations

import io
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from catalog_experiments.enforcement import evaluate_due
from catalog_experiments.models import GuardrailEvaluation
from tests.catalog_experiments.recent import make_recent_breach

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    """A stream that shows progress."""

    def isatty(self) -> bool:
        return True


def test_verify_decisions__whole_chain__says_how_many() -> None:
    make_recent_breach()
    evaluate_due(now=timezone.now())
    said = io.StringIO()

    call_command("verify_decisions", stdout=said)

    assert said.getvalue() == "1 records: every verdict recomputed, the chain is whole\n"


@pytest.mark.parametrize(("verbosity", "shown"), [(1, True), (0, False)])
def test_verify_decisions__on_a_terminal__shows_progress_unless_told_to_be_quiet(
    verbosity: int, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_recent_breach()
    evaluate_due(now=timezone.now())
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)

    call_command("verify_decisions", stdout=io.StringIO(), verbosity=verbosity)

    assert ("records" in terminal.getvalue() and "100%" in terminal.getvalue()) is shown


def test_verify_decisions__forged_verdict__exit_one_and_named() -> None:
    make_recent_breach()
    evaluate_due(now=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE {GuardrailEvaluation._meta.db_table} SET verdict = 'healthy'")
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")

    with pytest.raises(CommandError, match="record 1: its content was changed") as caught:
        call_command("verify_decisions", stdout=io.StringIO())

    assert caught.value.returncode == 1
