"""The page of the local inbox. All it shows came from outside, so all of it goes through the template's escaping."""

from __future__ import annotations

import html
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from django.template.loader import render_to_string

from notifications.inbox.store import Entry, Inbox
from notifications.messages import is_web_address

SHOWN_MESSAGES = 100
BOLD = re.compile(r"\*([^*\n]+)\*")


@dataclass(frozen=True)
class Page:
    """The page and the policy it must be served with: nothing from elsewhere, one script of ours."""

    html: str
    content_security_policy: str


@dataclass(frozen=True)
class Span:
    """A piece of Slack's text."""

    text: str
    is_bold: bool = False


def inbox_page(inbox: Inbox, *, zone: tzinfo) -> Page:
    """Render the newest messages; times are shown in `zone`."""
    nonce = secrets.token_urlsafe(16)
    context = {
        "entries": [_shown(entry, zone) for entry in inbox.newest(SHOWN_MESSAGES)],
        "count": inbox.count(),
        "newest": inbox.newest_name(),
        "nonce": nonce,
    }
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(render_to_string("notifications/inbox.html", context), policy)


def spans(mrkdwn: str) -> list[Span]:
    """Split Slack's text into plain and bold pieces, its escapes undone.

    >>> spans("*Next:* tea &amp; cups")
    [Span(text='Next:', is_bold=True), Span(text=' tea & cups', is_bold=False)]
    """
    pieces = enumerate(BOLD.split(mrkdwn))
    return [Span(html.unescape(piece), is_bold=position % 2 == 1) for position, piece in pieces if piece]


def _shown(entry: Entry, zone: tzinfo) -> dict[str, Any]:
    local = entry.received_at.astimezone(zone)
    shown = {"kind": entry.kind, "moment": f"{local:%H:%M:%S} {local.tzname()}", "day": f"{local.day} {local:%B %Y}"}
    content = entry.content
    if entry.kind == "slack":
        return {**shown, **_slack(content)}
    if entry.kind == "email":
        frame = f'<base target="_blank">{content.get("html", "")}' if content.get("html") else ""
        return {**shown, **content, "recipients": ", ".join(content.get("recipients", [])), "frame": frame}
    return {**shown, **content, "body": json.dumps(content.get("event"), indent=2, ensure_ascii=False)}


def _slack(content: Mapping[str, Any]) -> dict[str, Any]:
    payload = content.get("payload", {})
    blocks = [part for block in _dicts(payload.get("blocks")) for part in _block(block)]
    text = [] if blocks else spans(str(payload.get("text", "")))
    return {"channel": payload.get("channel", ""), "blocks": blocks, "text": text}


def _block(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a block shows; a kind that we never send shows nothing."""
    match block.get("type"):
        case "header":
            yield {"type": "header", "text": _text(block.get("text"))}
        case "section":
            if "text" in block:
                yield {"type": "section", "spans": spans(_text(block["text"]))}
            if "fields" in block:
                yield {"type": "fields", "fields": [spans(_text(field)) for field in _dicts(block["fields"])]}
        case "actions":
            yield {"type": "actions", "buttons": list(_buttons(block))}
        case "context":
            yield {"type": "context", "spans": [spans(_text(element)) for element in _dicts(block.get("elements"))]}


def _buttons(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for element in _dicts(block.get("elements")):
        url = str(element.get("url", ""))
        if is_web_address(url):
            yield {"label": _text(element.get("text")), "url": url, "is_main": element.get("style") == "primary"}


def _text(value: object) -> str:
    return str(value.get("text", "")) if isinstance(value, Mapping) else ""


def _dicts(values: object) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []
