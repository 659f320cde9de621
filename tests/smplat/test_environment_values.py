"""Environment variables with values that cannot be right: refused by name, not read as something else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from smplat.environment_values import EnvironmentValues
from tests.environment import PROJECT


@pytest.mark.parametrize(("given", "meant"), [("true", True), ("Yes", True), ("1", True), ("off", False), ("", False)])
def test_bool__known_word__is_read(monkeypatch: pytest.MonkeyPatch, given: str, meant: bool) -> None:
    monkeypatch.setenv("SWITCH", given)

    assert EnvironmentValues().bool("SWITCH", default=True) is meant


def test_bool__not_set__is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWITCH", raising=False)

    assert EnvironmentValues().bool("SWITCH", default=True) is True


def test_bool__misspelled__is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", "ture")

    with pytest.raises(ImproperlyConfigured, match="SWITCH is 'ture'; it must be true or false"):
        EnvironmentValues().bool("SWITCH", default=False)


def test_int__no_number__is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "abc")

    with pytest.raises(ImproperlyConfigured, match="PORT is 'abc'; it must be a whole number"):
        EnvironmentValues().int("PORT", default=8000)


@pytest.mark.parametrize(("given", "meant"), [("text", "text"), (None, "json")])
def test_choice__known_word_or_none__is_it_or_the_default(
    monkeypatch: pytest.MonkeyPatch, given: str | None, meant: str
) -> None:
    monkeypatch.setenv("FORM", given) if given else monkeypatch.delenv("FORM", raising=False)

    assert EnvironmentValues().choice("FORM", ("json", "text"), default="json") == meant


def test_choice__another_word__is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORM", "xml")

    with pytest.raises(ImproperlyConfigured, match="FORM is 'xml'; it must be one of json, text"):
        EnvironmentValues().choice("FORM", ("json", "text"), default="json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_PORT", "abc"),
        ("DATABASE_URL", "mysql://db/x"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("STATIC_FILES", "zip"),
    ],
)
def test_command_line__unusable_setting__says_which_in_one_line(name: str, value: str) -> None:
    given = {
        "PATH": os.environ["PATH"],
        "DEBUG": "true",
        "SMPLAT_ENV_FILE": os.devnull,
        "SMPLAT_STATE_DIR": "/nonexistent",
    }

    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT,
        env={**given, name: value},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr.startswith("The settings cannot be used. ")
    assert name in result.stderr
    assert result.stderr.count("\n") == 1
