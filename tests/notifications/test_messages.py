"""Words: complete, in the channel's own escaping, and harmless whatever a name contains."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from notifications.messages import (
    Notice,
    cloud_event,
    html_context,
    is_web_address,
    plain_text,
    slack_payload,
    slack_text,
    subject_line,
)
from tests.notifications.conftest import NOW, make_draft

HOSTILE = (
    "<!channel> <!here> <@U123> @everyone <https://evil.example|click>",
    '"><script>alert(1)</script>',
    "kit\r\nBcc: all@shop.example\r\n\r\nbody",
    "*bold* & `code` &lt;!channel&gt;",
    "\u202eevil\u2028line\x00\x1b[31m",
)


def make_notice(**overrides: Any) -> Notice:
    draft = make_draft()
    notice = Notice(
        alert_id=UUID("01a2000d-1b7b-74f5-8559-a0efed7dff69"),
        reference="ed7dff69",
        kind=draft.kind,
        severity=draft.severity,
        subject=draft.subject,
        summary=draft.summary,
        facts=draft.facts,
        occurred_at=NOW,
        zone=ZoneInfo("Europe/Berlin"),
    )
    return replace(notice, **overrides)


def hostile_notice(text: str) -> Notice:
    facts = {
        "lines": [{"label": text, "value": text}],
        "table": {"caption": text, "columns": [text], "rows": [[text]]},
        "links": [{"label": text, "url": "https://shop.example/x"}, {"label": "x", "url": text}],
        "next_step": text,
        "note": text,
    }
    return make_notice(subject=text, summary=text, facts=facts)


def texts_of(payload: dict[str, Any]) -> list[str]:
    """Every text that Slack would read as its own markup."""
    found = [payload["text"]]
    todo: list[Any] = list(payload.get("blocks", []))
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            found += [part["text"]] if part.get("type") == "mrkdwn" else []
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    return found


def test_plain_text__pause__says_what_numbers_next_step_and_zone() -> None:
    text = plain_text(make_notice())

    for part in (
        "Paused: Pour-over starter kit",
        "91 of 1,240 orders (7.34 %). The limit is 10 %.",
        "Evidence: 44 times (pauses at 40)",
        "Test, below limit  1,240  91  7.34 %",
        "Next: Read why, then complete it.",
        "Read why: https://shop.example/admin/merchandising/bundles/pour-over",
        "Owner Mara Lindqvist · 20 November 2026, 12:04:08 CET · reference ed7dff69",
    ):
        assert part in text


def test_moment__summer__names_the_zone_of_that_day() -> None:
    notice = make_notice(occurred_at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))

    assert notice.moment == "2 July 2026, 00:30:00 CEST"


def test_slack_payload__pause__has_headline_fields_next_buttons_and_reference() -> None:
    payload = slack_payload(make_notice(), channel="#merchandising")

    header, summary, fields, next_step, actions, context = payload["blocks"]
    assert payload["channel"] == "#merchandising"
    assert header["text"]["text"] == "■ Paused: Pour-over starter kit"
    assert "91 of 1,240 orders" in summary["text"]["text"]
    assert fields["fields"][0]["text"] == "*Evidence*\n44 times (pauses at 40)"
    assert next_step["text"]["text"].startswith("*Next:* Read why")
    assert actions["elements"][0]["url"].startswith("https://shop.example/")
    assert "reference ed7dff69" in context["elements"][0]["text"]


def test_slack_payload__no_channel_configured__names_none() -> None:
    assert "channel" not in slack_payload(make_notice())


@pytest.mark.parametrize("text", HOSTILE)
def test_slack_payload__hostile_names__mention_and_link_nobody(text: str) -> None:
    payload = slack_payload(hostile_notice(text))

    for shown in texts_of(payload):
        assert "<" not in shown
        assert ">" not in shown
        assert "@everyone" not in shown
    assert "<!" not in json.dumps(payload, ensure_ascii=False)
    assert [element["url"] for element in payload["blocks"][-2]["elements"]] == ["https://shop.example/x"]


@given(st.text(max_size=8000))
def test_slack_payload__any_text__stays_within_the_limits_and_half_escapes_nothing(text: str) -> None:
    payload = slack_payload(hostile_notice(text))

    header = payload["blocks"][0]["text"]["text"]
    assert 0 < len(header) <= 150
    for shown in texts_of(payload):
        assert len(shown) <= 3000
        unescaped = shown.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
        assert not set("&<>") & set(unescaped)


def test_slack_text__unescaped_again__is_the_text() -> None:
    assert slack_text("a < b & c > d") == "a &lt; b &amp; c &gt; d"


def test_slack_payload__forty_lines__ten_fields_a_block() -> None:
    lines = [{"label": str(number), "value": "x"} for number in range(60)]

    payload = slack_payload(make_notice(facts={"lines": lines}))

    assert [len(block["fields"]) for block in payload["blocks"] if "fields" in block] == [10, 10, 10, 10]


@pytest.mark.parametrize("text", HOSTILE)
def test_subject_line__hostile_names__is_one_printable_line(text: str) -> None:
    subject = subject_line(hostile_notice(text))

    assert subject.isprintable()
    assert len(subject.splitlines()) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_mail_html__hostile_names__is_text_only(text: str) -> None:
    page = render_to_string("notifications/alert_email.html", html_context(hostile_notice(text)))

    assert "<script" not in page
    assert page.count("<a ") == 1
    assert 'href="https://shop.example/x"' in page


def test_mail_html__pause__shows_table_lines_and_buttons() -> None:
    page = render_to_string("notifications/alert_email.html", html_context(make_notice()))

    for part in (
        "Needs attention",
        "Test, below limit",
        "7.34 %",
        "44 times (pauses at 40)",
        "Read why",
        "12:04:08 CET",
    ):
        assert part in page


@pytest.mark.parametrize(
    "facts", [{}, {"lines": None, "links": "x", "table": []}, {"lines": [1, {"label": None}], "links": [{}]}]
)
def test_plain_text__facts_of_another_shape__still_tells_what_happened(facts: dict[str, Any]) -> None:
    notice = make_notice(facts=facts)

    assert notice.summary in plain_text(notice)
    assert slack_payload(notice)["blocks"]
    assert render_to_string("notifications/alert_email.html", html_context(notice))


def test_cloud_event__pause__has_the_required_attributes_and_the_raw_numbers() -> None:
    event = cloud_event(make_notice(), source="https://shop.example")

    assert {"specversion", "id", "source", "type", "time"} <= event.keys()
    assert (event["specversion"], event["type"]) == ("1.0", "smplat.alert.guardrail_pause")
    assert event["time"] == "2026-11-20T11:04:08+00:00"
    assert event["data"]["facts"]["data"] == {"sample": 1240, "accepted": 91}


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "/admin/",
        "https://",
        "data:text/html,x",
        "https://a b",
        'https://a"b',
        "https://a|b",
        "http://[::1",
        "https://x/" + "y" * 4000,
    ],
)
def test_is_web_address__no_plain_link__is_left_out(url: str) -> None:
    assert not is_web_address(url)
