"""The local inbox: it takes what the real channels send, keeps it over a restart, and shows it safely."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test.utils import override_settings

from notifications.channels import CHANNELS
from notifications.inbox import Inbox, running_inbox
from notifications.inbox.page import inbox_page
from notifications.outcomes import OutcomeClass
from smplat.local_environment import free_port
from tests.notifications.conftest import NOW
from tests.notifications.test_channels import make_envelope
from tests.notifications.test_messages import HOSTILE, hostile_notice


@dataclass(frozen=True)
class Running:
    """An inbox with its doors open."""

    inbox: Inbox
    http_port: int
    smtp_port: int

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Open an inbox and point every channel at it."""
    doors = Running(Inbox(tmp_path / "inbox"), free_port(0), free_port(0))
    with (
        running_inbox(doors.inbox, smtp_port=doors.smtp_port, http_port=doors.http_port, zone=UTC),
        override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=doors.smtp_port,
            EMAIL_USE_TLS=False,
            BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL=f"http://127.0.0.1:{doors.http_port}/slack",
            ALERT_WEBHOOK_URL=f"http://127.0.0.1:{doors.http_port}/webhook",
        ),
    ):
        yield doors


def test_inbox__real_channels__everything_arrives_and_is_shown(running: Running) -> None:
    outcomes = [channel(make_envelope()).outcome_class for channel in CHANNELS.values()]

    status, page = running.request("GET", "/")
    assert set(outcomes) == {OutcomeClass.OK}
    assert status == 200
    assert sorted(entry.kind for entry in running.inbox.newest(10)) == ["email", "slack", "webhook"]
    for part in (
        "Paused: Pour-over starter kit",
        "91 of 1,240 orders",
        "<b>Evidence</b>",
        "mara@shop.example",
        "Read why",
    ):
        assert part in page


@pytest.mark.parametrize("text", HOSTILE)
def test_inbox_page__hostile_messages__hold_no_markup_of_theirs(running: Running, text: str) -> None:
    for channel in CHANNELS.values():
        channel(make_envelope(notice=hostile_notice(text)))

    page = inbox_page(running.inbox, zone=UTC)

    assert running.inbox.count() == 3
    assert page.html.count("<script") == 1
    assert "alert(1)</script>" not in page.html
    assert "script-src 'nonce-" in page.content_security_policy
    assert re.findall(r'<a\s+href="([^"]*)"', page.html) == ["https://shop.example/x"]


def test_inbox_page__slack_payload_of_a_stranger__is_shown_without_harm(running: Running) -> None:
    payload = {
        "text": "<script>alert(1)</script>",
        "blocks": [
            {"type": "section", "text": {"text": "<img src=x onerror=alert(1)>"}},
            {"type": "actions", "elements": [{"text": {"text": "x"}, "url": "javascript:alert(1)"}]},
            {"type": "unknown"},
            "no block",
        ],
    }

    status, _ = running.request("POST", "/slack", json.dumps(payload).encode())

    page = running.request("GET", "/")[1]
    assert status == 200
    assert "<img" not in page
    assert "javascript:" not in page


@pytest.mark.parametrize(
    ("path", "body", "status", "answer"),
    [
        ("/slack", b"not json", 400, "invalid_payload"),
        ("/slack", b"[1]", 400, "invalid_payload"),
        ("/slack", b"{}", 400, "no_text"),
        ("/slack", b"[" * 200_000, 400, "invalid_payload"),
        ("/elsewhere", b"{}", 404, "no_service"),
        ("/slack", b"x" * 1_000_001, 413, "payload_too_large"),
    ],
)
def test_inbox__bad_post__is_refused_and_not_kept(
    running: Running, path: str, body: bytes, status: int, answer: str
) -> None:
    try:
        reply = running.request("POST", path, body)
    except (BrokenPipeError, ConnectionResetError):  # the body was not read to its end
        reply = (413, "payload_too_large")

    assert reply == (status, answer)
    assert running.inbox.count() == 0


def test_inbox__page_asked_for_under_another_name__is_refused(running: Running) -> None:
    assert running.request("GET", "/", Host="evil.example:80")[0] == 421
    assert running.request("GET", "/nothing")[0] == 404


def test_inbox__newest__changes_with_every_arrival(running: Running) -> None:
    before = running.request("GET", "/newest")

    running.request("POST", "/slack", b'{"text": "hello"}')

    assert before == (200, "")
    assert running.request("GET", "/newest")[1] == running.inbox.newest_name() != ""


def test_inbox__more_than_the_limit__forgets_the_oldest(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, limit=5)

    for number in range(8):
        inbox.keep("slack", {"payload": {"text": str(number)}}, now=NOW + timedelta(seconds=number))

    shown = [entry.content["payload"]["text"] for entry in Inbox(tmp_path).newest(10)]
    assert shown == ["7", "6", "5", "4", "3"]


def test_inbox__broken_file__is_left_out(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.keep("slack", {"payload": {"text": "whole"}}, now=NOW)
    (tmp_path / "20990101T000000000000-0.json").write_text("{")

    assert len(inbox.newest(10)) == 1


def test_run_inbox__stopped_and_started_again__shows_what_came_before(tmp_path: Path) -> None:
    http_port, smtp_port = free_port(0), free_port(0)
    doors = Running(Inbox(tmp_path / "inbox"), http_port, smtp_port)
    command = [sys.executable, "manage.py", "run_inbox", f"--smtp-port={smtp_port}", f"--http-port={http_port}"]
    environment = {**os.environ, "SMPLAT_STATE_DIR": str(tmp_path)}

    for turn in range(2):
        process = subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert b"inbox at" in process.stdout.readline()
        status, page = doors.request("GET", "/")
        if turn == 0:
            doors.request("POST", "/slack", b'{"text": "kept for later"}')
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(10)
        process.stdout.close()

        assert (status, code) == (200, 0)
        assert time.monotonic() - began < 5
    assert "kept for later" in page
