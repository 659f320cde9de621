"""Receivers and settings for everything that sends alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.test.utils import override_settings

from notifications import channels, outbox
from notifications.outbox import AlertDraft
from tests.sinks import HttpSink, SmtpSink, http_sink, smtp_sink

NOW = datetime(2026, 11, 20, 11, 4, 8, tzinfo=UTC)
RECIPIENTS = ["mara@shop.example", "jonas@shop.example", "aylin@shop.example"]


def make_draft(**overrides: object) -> AlertDraft:
    """Build a draft as a guardrail would write it."""
    facts = {
        "lines": [
            {"label": "Evidence", "value": "44 times (pauses at 40)"},
            {"label": "Control", "value": "11.26 % of 1,226 orders"},
        ],
        "table": {
            "caption": "Acceptance per variant",
            "columns": ["Variant", "Sample", "Took it", "Acceptance"],
            "rows": [["Control", "1,226", "138", "11.26 %"], ["Test, below limit", "1,240", "91", "7.34 %"]],
        },
        "links": [{"label": "Read why", "url": "https://shop.example/admin/merchandising/bundles/pour-over"}],
        "next_step": "Read why, then complete it. Nothing is urgent for shoppers.",
        "note": "Owner Mara Lindqvist",
        "data": {"sample": 1240, "accepted": 91},
    }
    fields: dict[str, object] = {
        "kind": "guardrail_pause",
        "severity": "critical",
        "subject": "Paused: Pour-over starter kit",
        "dedupe_key": "pause:pour-over:1",
        "summary": "Too few shoppers took the test offer: 91 of 1,240 orders (7.34 %). The limit is 10 %.",
        "facts": facts,
        "occurred_at": NOW,
    }
    return AlertDraft(**{**fields, **overrides})  # type: ignore[arg-type]  # overrides are any of its fields


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send without pauses, and let nobody be woken: the tests deliver themselves."""
    monkeypatch.setitem(channels.SECONDS_BETWEEN, "slack", 0.0)
    monkeypatch.setattr(outbox, "nudge", lambda: True)


@pytest.fixture
def slack() -> Iterator[HttpSink]:
    """Run a Slack and point the settings at it."""
    with http_sink() as sink, override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL=sink.url()):
        yield sink


@pytest.fixture
def webhook() -> Iterator[HttpSink]:
    """Run a webhook receiver and point the settings at it."""
    secret = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0cw=="
    with http_sink() as sink, override_settings(ALERT_WEBHOOK_URL=sink.url("/hook"), ALERT_WEBHOOK_SECRET=secret):
        yield sink


@pytest.fixture
def mail() -> Iterator[SmtpSink]:
    """Run a mail server with three recipients and point the settings at it."""
    with (
        smtp_sink() as sink,
        override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            SMTP_HOST="127.0.0.1",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=sink.port,
            EMAIL_USE_TLS=False,
            EMAIL_TIMEOUT=2,
            SMTP_SENDER_EMAIL="alerts@smplat.example",
            BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS=RECIPIENTS,
        ),
    ):
        yield sink
