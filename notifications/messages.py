"""PURE. The words of a message: one notice -> subject, text, HTML context, Slack blocks, CloudEvent.

Everything in a notice is treated as text from a stranger: it is escaped for the channel, cut to its limits, and links
other than http and https are left out. Nothing here knows what an experiment is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

SEVERITY_WORDS = {"critical": "Needs attention", "warning": "Warning", "info": "For information"}
SEVERITY_ICONS = {"critical": "■", "warning": "▲", "info": "●"}

SLACK_HEADER_LENGTH, SLACK_TEXT_LENGTH, SLACK_FIELD_LENGTH, SLACK_BUTTON_LENGTH = 150, 3000, 2000, 75
SLACK_FIELDS_PER_BLOCK, MOST_LINES, MOST_LINKS, URL_LENGTH = 10, 40, 5, 3000
ZERO_WIDTH_SPACE = "\u200b"
CUT = "…"

Json = dict[str, Any]


@dataclass(frozen=True)
class Link:
    """A button: what it says and where it leads (http or https)."""

    label: str
    url: str


@dataclass(frozen=True)
class Table:
    """Figures in rows; the first column names the row, the others are numbers as text."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Notice:
    """An alert as channels see it; times are aware, `zone` is the shop's."""

    alert_id: UUID
    reference: str
    kind: str
    severity: str
    subject: str
    summary: str
    facts: Mapping[str, Any]
    occurred_at: datetime
    zone: tzinfo

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Label and value of each figure, in the order given."""
        lines = [(_text(line, "label"), _text(line, "value")) for line in _mappings(self.facts.get("lines"))]
        return tuple(lines[:MOST_LINES])

    @property
    def links(self) -> tuple[Link, ...]:
        """The buttons, the main one first."""
        links = (
            Link(_text(link, "label") or "Open", _text(link, "url")) for link in _mappings(self.facts.get("links"))
        )
        return tuple(link for link in links if is_web_address(link.url))[:MOST_LINKS]

    @property
    def table(self) -> Table | None:
        """The figures as a table, or None when there is none."""
        table = self.facts.get("table")
        if not isinstance(table, Mapping) or not table.get("rows"):
            return None
        rows = tuple(_texts(row) for row in _sequence(table.get("rows")))
        return Table(_text(table, "caption"), _texts(table.get("columns")), rows[:MOST_LINES])

    @property
    def next_step(self) -> str:
        """What to do now, in a sentence; empty when there is nothing to do."""
        return _text(self.facts, "next_step")

    @property
    def note(self) -> str:
        """A last small remark, such as the owner's name; may be empty."""
        return _text(self.facts, "note")

    @property
    def moment(self) -> str:
        """When it happened, in the shop's time, the zone named."""
        local = self.occurred_at.astimezone(self.zone)
        return f"{local.day} {local:%B %Y, %H:%M:%S} {local.tzname()}"


def subject_line(notice: Notice) -> str:
    r"""Return the subject on one line, whatever line breaks the alert brought.

    A name such as "kit\r\nBcc: all@shop.example" can therefore add no header.
    """
    return _cut(
        " ".join("".join(character if character.isprintable() else " " for character in notice.subject).split()), 200
    )


def plain_text(notice: Notice) -> str:
    """Return the whole message as plain text, for mail readers without HTML and for the second try."""
    paragraphs = [
        subject_line(notice),
        notice.summary,
        "\n".join(f"{label}: {value}" for label, value in notice.lines),
        _text_table(notice.table),
        f"Next: {notice.next_step}" if notice.next_step else "",
        "\n".join(f"{link.label}: {link.url}" for link in notice.links),
        _small_print(notice),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def html_context(notice: Notice) -> Json:
    """Return what the mail's template shows; the template escapes."""
    return {
        "severity": notice.severity,
        "severity_word": SEVERITY_WORDS.get(notice.severity, notice.severity),
        "subject": subject_line(notice),
        "summary": notice.summary,
        "lines": notice.lines,
        "table": notice.table,
        "next_step": notice.next_step,
        "links": notice.links,
        "small_print": _small_print(notice),
        "moment": notice.moment,
    }


def slack_payload(notice: Notice, *, channel: str = "", is_plain: bool = False) -> Json:
    """Return the body for an incoming webhook: headline, numbers, next step, buttons, reference.

    Args:
        notice: What to say.
        channel: Named in the body when not empty; many webhooks ignore it.
        is_plain: Leave out the blocks, for a workspace that refused them.
    """
    payload: Json = {"text": _cut(slack_text(f"{subject_line(notice)} {notice.summary}".strip()), SLACK_TEXT_LENGTH)}
    if is_plain:
        payload["text"] = _cut(slack_text(plain_text(notice)), SLACK_TEXT_LENGTH)
    else:
        payload["blocks"] = _slack_blocks(notice)
    return payload | ({"channel": channel} if channel else {})


def cloud_event(notice: Notice, *, source: str) -> Json:
    """Return the alert as a CloudEvents 1.0 event in structured form; times are UTC."""
    return {
        "specversion": "1.0",
        "id": str(notice.alert_id),
        "source": source,
        "type": f"smplat.alert.{notice.kind}",
        "time": notice.occurred_at.isoformat(),
        "subject": notice.reference,
        "datacontenttype": "application/json",
        "data": {
            "severity": notice.severity,
            "subject": subject_line(notice),
            "summary": notice.summary,
            "reference": notice.reference,
            "facts": dict(notice.facts),
        },
    }


def slack_text(text: str) -> str:
    """Return text that Slack shows as it is: no link, no mention, no call to a whole channel.

    >>> slack_text("<!channel> tea & <@U1> @here") == "&lt;!channel&gt; tea &amp; &lt;@U1&gt; @\u200bhere"
    True
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"@(?=channel|here|everyone)", f"@{ZERO_WIDTH_SPACE}", escaped, flags=re.IGNORECASE)


def is_web_address(url: str) -> bool:
    """Tell whether a link may be offered: http or https with a host, printable, not endless.

    >>> [is_web_address(url) for url in ("https://shop.example/a", "javascript:alert(1)", "/relative")]
    [True, False, False]
    """
    if len(url) > URL_LENGTH or not url.isprintable() or re.search(r'[\s<>"|]', url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _slack_blocks(notice: Notice) -> list[Json]:
    icon = SEVERITY_ICONS.get(notice.severity, "")
    headline = f"{icon} {subject_line(notice)}".strip()
    blocks: list[Json] = [{"type": "header", "text": _plain_text(headline, SLACK_HEADER_LENGTH)}]
    if notice.summary:
        blocks.append({"type": "section", "text": _mrkdwn(slack_text(notice.summary))})
    blocks += _field_blocks(notice.lines)
    if notice.next_step:
        blocks.append({"type": "section", "text": _mrkdwn(f"*Next:* {slack_text(notice.next_step)}")})
    if notice.links:
        blocks.append({"type": "actions", "elements": [_button(*pair) for pair in enumerate(notice.links)]})
    return [*blocks, {"type": "context", "elements": [_mrkdwn(slack_text(_small_print(notice)))]}]


def _field_blocks(lines: Sequence[tuple[str, str]]) -> list[Json]:
    fields = [_mrkdwn(f"*{slack_text(label)}*\n{slack_text(value)}", SLACK_FIELD_LENGTH) for label, value in lines]
    starts = range(0, len(fields), SLACK_FIELDS_PER_BLOCK)
    return [{"type": "section", "fields": fields[start : start + SLACK_FIELDS_PER_BLOCK]} for start in starts]


def _button(position: int, link: Link) -> Json:
    text = _plain_text(link.label, SLACK_BUTTON_LENGTH)
    style = {"style": "primary"} if position == 0 else {}
    return {"type": "button", "action_id": f"open-{position}", "text": text, "url": link.url} | style


def _plain_text(text: str, length: int) -> Json:
    # shown as it is, so nothing is escaped; a mention is broken all the same
    return {
        "type": "plain_text",
        "text": _cut(re.sub("<(?=[!@#])", f"<{ZERO_WIDTH_SPACE}", text), length),
        "emoji": False,
    }


def _mrkdwn(escaped: str, length: int = SLACK_TEXT_LENGTH) -> Json:
    # verbatim: Slack must not look for names of channels and people in what is shown
    return {"type": "mrkdwn", "text": _cut(escaped, length), "verbatim": True}


def _small_print(notice: Notice) -> str:
    return " · ".join(part for part in (notice.note, notice.moment, f"reference {notice.reference}") if part)


def _text_table(table: Table | None) -> str:
    if table is None:
        return ""
    return "\n".join("  ".join(row) for row in (table.columns, *table.rows) if row)


def _cut(text: str, length: int) -> str:
    """Shorten to `length` characters without leaving half an escaped character at the end."""
    return text if len(text) <= length else re.sub(r"&[a-z]{0,3}\Z", "", text[: length - 1]) + CUT


def _text(source: Mapping[str, Any], key: str) -> str:
    value = source.get(key)
    return "" if value is None else str(value)


def _texts(values: object) -> tuple[str, ...]:
    return tuple(str(value) for value in _sequence(values))


def _mappings(values: object) -> Iterable[Mapping[str, Any]]:
    return (value for value in _sequence(values) if isinstance(value, Mapping))


def _sequence(values: object) -> Sequence[Any]:
    return values if isinstance(values, list | tuple) else ()
