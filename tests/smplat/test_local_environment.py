"""What `make run` gives its programs."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from smplat.local_environment import KEYS, free_port, local_environment, write_local_env


def environment(state_dir: Path, **given: str) -> dict[str, str]:
    return local_environment(given, state_dir=state_dir, smtp_port=1025, inbox_port=8025)


def test_local_environment__nothing_given__keys_are_made_once_and_kept(tmp_path: Path) -> None:
    first = environment(tmp_path)
    second = environment(tmp_path)

    assert first == second
    assert all(len(first[name]) >= 16 for name in KEYS)
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_local_environment__key_given__wins_and_is_not_stored(tmp_path: Path) -> None:
    found = environment(tmp_path, CHECKOUT_API_KEY="mine")

    assert found["CHECKOUT_API_KEY"] == "mine"
    assert json.loads((tmp_path / "credentials.json").read_text())["CHECKOUT_API_KEY"] != "mine"


@pytest.mark.parametrize(("demo", "schedule"), [("1", "config/schedules.demo.toml"), ("0", "config/schedules.toml")])
def test_local_environment__demo__chooses_the_schedule(tmp_path: Path, demo: str, schedule: str) -> None:
    found = environment(tmp_path, DEMO=demo)

    assert found["CATALOG_JOB_SCHEDULE_PATH"] == schedule
    assert found["CATALOG_JOB_SCHEDULER_ENABLED"] == "true"


def test_local_environment__mail_server_given__is_left_alone(tmp_path: Path) -> None:
    found = environment(tmp_path, SMTP_HOST="mail.example")

    assert found["SMTP_HOST"] == "mail.example"
    assert "SMTP_USE_TLS" not in found


def test_local_environment__database_given__is_passed_on(tmp_path: Path) -> None:
    assert environment(tmp_path, DATABASE_URL="postgres://db")["DATABASE_URL"] == "postgres://db"
    assert "DATABASE_URL" not in environment(tmp_path)


def test_write_local_env__keeps_the_admin_password_out(tmp_path: Path) -> None:
    write_local_env(tmp_path / "local.env", environment(tmp_path))

    text = (tmp_path / "local.env").read_text()
    assert "SMPLAT_ADMIN_PASSWORD" not in text
    assert "\nSECRET_KEY=" in text


def test_free_port__preferred_is_taken__another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]

        assert free_port(taken) != taken
