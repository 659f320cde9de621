"""The doors to the outside: which addresses are refused, what is signed, what the mail looks like."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import threading
import time
from typing import Any, NoReturn
from uuid import UUID

import pytest
from django.test.utils import override_settings

from notifications.channels import CHANNELS, Envelope
from notifications.channels.outbound import BODY_LIMIT_BYTES, RefusedTarget, is_public, post
from notifications.outcomes import OutcomeClass
from tests.notifications.conftest import NOW, RECIPIENTS
from tests.notifications.test_messages import hostile_notice, make_notice
from tests.sinks import HttpSink, SmtpSink, answer

DELIVERY_ID = UUID("01a2000d-1b7b-74f5-8559-a0efed7dff70")
PRIVATE_HOSTS = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "[::1]",
    "[::]",
    "[::ffff:10.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[2001:db8::1]",
)
REFUSED_FORMS = (
    "http://93.184.216.34/",
    "https://93.184.216.34:8443/",
    "https://user@93.184.216.34/",
    "https://user:pass@93.184.216.34/",
    "https://hooks.slack.com@127.0.0.1/",
    "https://hooks.slack.com:80/",
    "ftp://93.184.216.34/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "//93.184.216.34/",
    "https://",
    "https://[::1",
    "https://h\u00f6oks.slack.com/",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://93.184.216.34:99999/",
    "",
    "javascript:alert(1)",
)


def make_envelope(**overrides: Any) -> Envelope:
    fields: dict[str, Any] = {
        "delivery_id": DELIVERY_ID,
        "notice": make_notice(),
        "sent_at": NOW,
        "recipient": RECIPIENTS[0],
    }
    return Envelope(**{**fields, **overrides})


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Record where a connection would go, and let none be made."""
    asked: list[tuple[str, int]] = []

    def refuse(address: tuple[str, int], *args: object, **kwargs: object) -> NoReturn:
        asked.append(address)
        raise OSError("no connection in this test")

    monkeypatch.setattr("urllib3.util.connection.create_connection", refuse)
    return asked


@override_settings(ALERT_ALLOW_PRIVATE_TARGETS=False)
@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_post__private_address__is_refused_before_any_connection(
    host: str, no_connection: list[tuple[str, int]]
) -> None:
    with pytest.raises((RefusedTarget, OSError)) as refusal:
        post(f"https://{host}/SECRET", body=b"{}", headers={})

    assert no_connection == []
    assert "SECRET" not in str(refusal.value)


@override_settings(ALERT_ALLOW_PRIVATE_TARGETS=False)
@pytest.mark.parametrize("url", REFUSED_FORMS)
def test_post__odd_address__is_refused_before_any_connection(url: str, no_connection: list[tuple[str, int]]) -> None:
    with pytest.raises(RefusedTarget):
        post(url, body=b"{}", headers={})

    assert no_connection == []


@override_settings(ALERT_ALLOW_PRIVATE_TARGETS=False)
@pytest.mark.parametrize(
    "url", ["https://evil.example/x", "https://hooks.slack.com.evil.example/x", "https://slack.com/x"]
)
def test_slack__another_host__is_gone_without_a_connection(url: str, no_connection: list[tuple[str, int]]) -> None:
    with override_settings(BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL=url):
        outcome = CHANNELS["slack"](make_envelope())

    assert (outcome.outcome_class, outcome.is_target_wide, no_connection) == (OutcomeClass.GONE, True, [])


@override_settings(ALERT_ALLOW_PRIVATE_TARGETS=False)
def test_post__name_server_changes_its_mind__the_checked_address_is_used(
    monkeypatch: pytest.MonkeyPatch, no_connection: list[tuple[str, int]]
) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])

    def rebinding(host: str, port: int, *args: object, **kwargs: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)

    with pytest.raises(OSError, match="no connection in this test"):
        post("https://rebinding.example/x", body=b"{}", headers={})

    assert no_connection == [("93.184.216.34", 443)]
    assert next(answers) == "127.0.0.1"


@override_settings(ALERT_ALLOW_PRIVATE_TARGETS=False)
def test_post__one_of_two_addresses_private__is_refused(
    monkeypatch: pytest.MonkeyPatch, no_connection: list[tuple[str, int]]
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)

    with pytest.raises(RefusedTarget):
        post("https://two.example/x", body=b"{}", headers={})

    assert no_connection == []


def test_post__plain_http_to_another_machine__is_refused_even_where_private_is_allowed(
    no_connection: list[tuple[str, int]],
) -> None:
    with pytest.raises(RefusedTarget, match="this machine only"):
        post("http://10.0.0.1/x", body=b"{}", headers={})

    assert no_connection == []


def test_post__https__asks_for_the_name_at_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        resolve = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *rest, **more: found if host == "hooks.test" else resolve(host, *rest, **more),
        )
        hello: list[bytes] = []

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                hello.append(connection.recv(4096))

        listener = threading.Thread(target=listen)
        listener.start()

        with pytest.raises(OSError):
            post(f"https://hooks.test:{port}/x", body=b"{}", headers={})
        listener.join()

    assert b"hooks.test" in hello[0]


def test_post__proxy_in_the_environment__is_not_asked(slack: HttpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert post(slack.url(), body=b"{}", headers={}).status == 200


def test_post__endless_body__is_read_up_to_the_limit(slack: HttpSink) -> None:
    slack.default = answer(500, "x" * 3_000_000)

    assert len(post(slack.url(), body=b"{}", headers={}).text) == BODY_LIMIT_BYTES


def test_post__dripping_body__is_left_after_the_time_given(slack: HttpSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.channels.outbound.BODY_SECONDS", 0.5)

    def drip(handler: Any) -> None:
        handler.send_response(500)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b"x" * 5000)
            time.sleep(0.2)

    slack.default = drip
    began = time.monotonic()

    reply = post(slack.url(), body=b"{}", headers={})

    assert reply.status == 500
    assert time.monotonic() - began < 3


def test_is_public__well_known_resolvers__are_public() -> None:
    assert all(
        is_public(ipaddress.ip_address(text)) for text in ("1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101")
    )


def test_webhook__signed__as_standard_webhooks_say(webhook: HttpSink) -> None:
    outcome = CHANNELS["webhook"](make_envelope())

    request = webhook.received[0]
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(b"secret-of-the-tests", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert json.loads(request.body)["id"] == str(make_notice().alert_id)
    assert (outcome.outcome_class, outcome.message_id) == (OutcomeClass.OK, headers["webhook-id"])


def test_webhook__published_example__gives_the_published_signature() -> None:
    from datetime import UTC, datetime

    from notifications.channels.webhook import signed_headers

    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        sent_at=datetime.fromtimestamp(1614265330, UTC),
        body=b'{"test": 2432232314}',
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_webhook__turned_away__is_gone(webhook: HttpSink, status: int) -> None:
    webhook.default = answer(status, "no")

    assert CHANNELS["webhook"](make_envelope()).outcome_class is OutcomeClass.GONE


def test_slack__date_as_retry_after__is_understood(slack: HttpSink) -> None:
    slack.default = answer(429, "rate_limited", Retry_After="Fri, 20 Nov 2026 11:05:08 GMT")

    assert CHANNELS["slack"](make_envelope()).retry_after_seconds == 60.0


@pytest.mark.parametrize("value", ["soon", "-5", "", "٣", "1e9"])
def test_slack__unreadable_retry_after__is_no_wish(slack: HttpSink, value: str) -> None:
    slack.default = answer(503, "busy", Retry_After=value.encode().decode("latin-1"))

    assert CHANNELS["slack"](make_envelope()).retry_after_seconds is None


def test_mail__pause__has_both_forms_and_threads_by_alert(mail: SmtpSink) -> None:
    CHANNELS["email"](make_envelope())

    message = mail.mails[0]
    text, page = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert page is not None
    assert "91 of 1,240 orders" in text.get_content()
    assert "<table" in page.get_content()
    assert message["Message-ID"] == f"<{DELIVERY_ID}@smplat.example>"
    assert message["References"] == f"<{make_notice().alert_id}@smplat.example>"
    assert message["To"] == RECIPIENTS[0]
    assert message["Auto-Submitted"] == "auto-generated"


def test_mail__line_break_in_the_subject__adds_no_recipient(mail: SmtpSink) -> None:
    outcome = CHANNELS["email"](make_envelope(notice=hostile_notice("kit\r\nBcc: all@shop.example\r\n\r\nbody")))

    assert outcome.outcome_class is OutcomeClass.OK
    assert mail.recipients == [RECIPIENTS[0]]
    assert mail.mails[0]["Bcc"] is None
    assert mail.mails[0]["Subject"] == "kit Bcc: all@shop.example body"


@pytest.mark.parametrize("recipient", ["not an address\r\nBcc: x@y.example", "a@b\r\nRCPT TO:<x@y.example>"])
def test_mail__broken_recipient__is_gone_for_that_one(mail: SmtpSink, recipient: str) -> None:
    outcome = CHANNELS["email"](make_envelope(recipient=recipient))

    assert (outcome.outcome_class, outcome.is_target_wide, mail.mails) == (OutcomeClass.GONE, False, [])


@pytest.mark.parametrize("channel", ["slack", "webhook"])
def test_channel__no_address_any_more__is_gone(channel: str) -> None:
    assert CHANNELS[channel](make_envelope()).outcome_class is OutcomeClass.GONE
