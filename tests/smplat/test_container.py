"""The Dockerfile and compose.yaml, read rather than built: they name what exists, and their commands start here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.environment import PROJECT

DOCKERFILE = (PROJECT / "Dockerfile").read_text()


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
    return found


def test_dockerfile__copies__what_exists() -> None:
    sources = [line.split()[1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line]

    assert len(sources) > 6
    assert [source for source in sources if not (PROJECT / source).exists()] == []


def test_dockerfile__runs_as_nobody_special_and_asks_for_health() -> None:
    assert DOCKERFILE.index("\nUSER smplat") < DOCKERFILE.index("\nCMD ")
    assert "\nHEALTHCHECK " in DOCKERFILE


def test_dockerfile__command__is_known_to_granian() -> None:
    match = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert match is not None
    command = json.loads(match[1])

    help_text = subprocess.run(
        [sys.executable, "-m", "granian", "--help"], capture_output=True, text=True, check=True
    ).stdout

    assert command[0] == "granian"
    assert [option for option in command if option.startswith("--") and option not in help_text] == []


@pytest.mark.parametrize("name", sorted(set(services()) - {"postgres", "redis", "migrate", "web"}))
def test_compose__service__waits_for_tables_and_broker(name: str) -> None:
    service = services()[name]

    assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert service["depends_on"]["redis"]["condition"] == "service_healthy"
    assert service["restart"] == "unless-stopped"


def test_compose__workers__serve_each_queue() -> None:
    from django.conf import settings

    queues = {
        word for service in services().values() for word in service.get("command", ()) if word in {"control", "bulk"}
    }

    assert queues == {queue.name for queue in settings.CELERY_TASK_QUEUES}
