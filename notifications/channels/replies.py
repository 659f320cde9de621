"""What an HTTP exchange came to, where Slack and signed webhooks agree."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

import requests
from requests.exceptions import InvalidHeader, InvalidSchema, InvalidURL
from urllib3.exceptions import NewConnectionError

from notifications.channels.outbound import RefusedTarget, Reply
from notifications.outcomes import Outcome, OutcomeClass, scrubbed

TIMED_OUT = "No answer in time; the message may have arrived."
CONNECTION_CUT = "The connection ended before an answer; the message may have arrived."


def failed_exchange(error: Exception) -> Outcome:
    """Return what follows from an exchange without a reply; the error's own text holds the address and is not used."""
    if isinstance(error, RefusedTarget):
        return Outcome(OutcomeClass.GONE, None, str(error), is_target_wide=True)
    if isinstance(error, InvalidURL | InvalidSchema | InvalidHeader):
        return Outcome(OutcomeClass.GONE, None, "The address cannot be used.", is_target_wide=True)
    if isinstance(error, requests.ReadTimeout):
        return Outcome(OutcomeClass.AMBIGUOUS, None, TIMED_OUT, is_target_wide=True)
    if isinstance(error, requests.exceptions.SSLError):
        return Outcome(OutcomeClass.TRANSIENT, None, "The secure connection could not be made.", is_target_wide=True)
    if _never_connected(error):
        return Outcome(OutcomeClass.TRANSIENT, None, "The host could not be reached.", is_target_wide=True)
    return Outcome(OutcomeClass.AMBIGUOUS, None, CONNECTION_CUT, is_target_wide=True)


def classified(reply: Reply, *secrets: str, now: datetime) -> Outcome:
    """Return what follows from a reply by its status alone; `secrets` are hidden in what is kept of its words."""
    excerpt = scrubbed(reply.text, *secrets)
    told = retry_after_seconds(reply, now=now)
    if 200 <= reply.status < 300:
        return Outcome(OutcomeClass.OK, reply.status, excerpt)
    if 300 <= reply.status < 400:
        return Outcome(OutcomeClass.GONE, reply.status, "It answered with a redirect.", is_target_wide=True)
    if reply.status == 429:
        return Outcome(OutcomeClass.THROTTLED, reply.status, excerpt, told, is_target_wide=True)
    if reply.status >= 500 or reply.status == 408:
        return Outcome(OutcomeClass.TRANSIENT, reply.status, excerpt, told, is_target_wide=True)
    return Outcome(OutcomeClass.UNKNOWN, reply.status, excerpt)


def retry_after_seconds(reply: Reply, *, now: datetime) -> float | None:
    """Return what Retry-After asks for, in seconds from `now`; None when it is absent or unreadable."""
    value = next((value for name, value in reply.headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        return max(parsedate_to_datetime(value).timestamp() - now.timestamp(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _never_connected(error: Exception) -> bool:
    """Tell a connection that was never made from one that was cut after the message had gone out."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    if isinstance(error, requests.ConnectionError):
        return any(isinstance(getattr(cause, "reason", None), NewConnectionError) for cause in error.args)
    return isinstance(error, OSError) and not isinstance(error, requests.RequestException)
