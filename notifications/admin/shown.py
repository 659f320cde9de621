"""The words and chips that both admin pages share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timeuntil

from notifications.models import WAITING_STATES, Delivery, DeliveryState, Severity
from notifications.outcomes import OutcomeClass

ICONS = {
    DeliveryState.PENDING: "…",
    DeliveryState.LEASED: "→",
    DeliveryState.RETRY: "↻",
    DeliveryState.SENT: "✓",
    DeliveryState.DEAD: "✕",
    DeliveryState.CANCELLED: "⊘",
    Severity.CRITICAL: "■",
    Severity.WARNING: "▲",
    Severity.INFO: "●",
}
REASONS = {
    "": "Waiting for its first try.",
    OutcomeClass.OK: "The receiver took it.",
    OutcomeClass.THROTTLED: "The receiver asked us to wait.",
    OutcomeClass.TRANSIENT: "The receiver could not be reached, or had trouble of its own.",
    OutcomeClass.AMBIGUOUS: "The connection ended before an answer, so this may have been sent twice.",
    OutcomeClass.BAD_MESSAGE: "The receiver refused the form of the message.",
    OutcomeClass.GONE: "The receiver is gone or turns our messages away.",
    OutcomeClass.UNKNOWN: "The receiver refused with an answer that we do not know.",
    OutcomeClass.LOST: "The sender stopped before it could say how it went, so this may have been sent twice.",
}
MOST_TROUBLED_FIRST = (
    DeliveryState.DEAD,
    DeliveryState.RETRY,
    DeliveryState.LEASED,
    DeliveryState.PENDING,
    DeliveryState.CANCELLED,
    DeliveryState.SENT,
)


def chip(state: str, text: str) -> SafeString:
    """Return a state as icon, word and color."""
    icon = ICONS.get(state, "")  # type: ignore[call-overload]  # both kinds of choices are strings
    return format_html('<span class="alert-chip {}"><span aria-hidden="true">{}</span>{}</span>', state, icon, text)


def reason_in_words(row: Delivery) -> str:
    """Say in sentences why a message stands where it stands."""
    said = f" It said: “{row.last_excerpt}”" if row.last_excerpt and row.last_class != OutcomeClass.OK else ""
    code = f" ({row.last_status})" if said and row.last_status else ""
    return f"{REASONS.get(row.last_class, row.last_class)}{said}{code}"


def next_try(rows: Sequence[Delivery], now: datetime) -> str:
    """Say when the earliest waiting message is tried again."""
    moments = [row.next_attempt_at for row in rows if row.state in WAITING_STATES]
    if not moments:
        return "-"
    return "now" if min(moments) <= now else f"in {timeuntil(min(moments), now)}"
