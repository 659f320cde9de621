"""PURE. What a send came to, and what follows from it: sent, try again at a time, or give up."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

EXCERPT_LENGTH = 200
FIRST_WAITS_SECONDS = (10, 30, 60, 120, 300, 600, 1200, 1800)
LATER_WAIT_SECONDS = 3600
LONGEST_TOLD_WAIT_SECONDS = 3600
UNKNOWN_WAIT_SECONDS = 900
UNKNOWN_TRIES = 3
FAILURES_THAT_OPEN = 5
LONGEST_PROBE_WAIT_SECONDS = 300


class OutcomeClass(StrEnum):
    """How a send ended, in the words that decide what happens next."""

    OK = "ok"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"  # it may have arrived
    BAD_MESSAGE = "bad_message"
    GONE = "gone"
    UNKNOWN = "unknown"
    LOST = "lost"  # the sender did not come back to say; it may have arrived


@dataclass(frozen=True)
class Outcome:
    """How one send ended.

    `status` is the peer's code, None without an answer; `excerpt` its words, scrubbed; `retry_after_seconds` what it
    asked for. `is_target_wide` tells that every other message to this target would fare the same. `message_id` is what
    the peer knows the message by, where the channel has such a thing.
    """

    outcome_class: OutcomeClass
    status: int | None = None
    excerpt: str = ""
    retry_after_seconds: float | None = None
    is_target_wide: bool = False
    message_id: str = ""


@dataclass(frozen=True)
class History:
    """What is known of a delivery when its send ends: sends begun so far, this one included, and earlier outcomes."""

    attempts: int
    give_up_at: datetime
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sent:
    """The peer took it."""


@dataclass(frozen=True)
class Again:
    """To be tried at `at`."""

    at: datetime


@dataclass(frozen=True)
class GivenUp:
    """Never tried again by itself."""


Step = Sent | Again | GivenUp


def next_step(outcome: Outcome, history: History, *, now: datetime, draw: Callable[[], float]) -> Step:
    """Say what follows from `outcome`; `draw` gives a number in [0, 1) that spreads the waits."""
    match outcome.outcome_class:
        case OutcomeClass.OK:
            return Sent()
        case OutcomeClass.GONE:
            return GivenUp()
        case OutcomeClass.BAD_MESSAGE:  # once more, as plain text
            wait = None if OutcomeClass.BAD_MESSAGE in history.earlier else 0.0
        case OutcomeClass.UNKNOWN:
            tried = history.earlier.count(OutcomeClass.UNKNOWN) + 1
            wait = None if tried >= UNKNOWN_TRIES else float(UNKNOWN_WAIT_SECONDS)
        case _:
            wait = _told_wait(outcome) or backoff_seconds(history.attempts, draw)
    at = None if wait is None else now + timedelta(seconds=wait)
    return GivenUp() if at is None or at > history.give_up_at else Again(at)


def backoff_seconds(failures: int, draw: Callable[[], float]) -> float:
    """Return how long to wait after `failures` sends: half of the table's wait, and up to the other half by chance.

    >>> backoff_seconds(1, lambda: 0.0), backoff_seconds(8, lambda: 0.5), backoff_seconds(40, lambda: 0.0)
    (5.0, 1350.0, 1800.0)
    """
    index = max(failures, 1) - 1
    wait = FIRST_WAITS_SECONDS[index] if index < len(FIRST_WAITS_SECONDS) else LATER_WAIT_SECONDS
    return wait / 2 + draw() * wait / 2


def rest_seconds(outcome: Outcome, failures: int, draw: Callable[[], float]) -> float:
    """Return how long a whole target rests after `failures` target-wide failures in a row, the newest being `outcome`.

    What the peer asked for wins. Else nothing rests before the fifth failure; from then on one message is let through
    at a time as a probe, never later than five minutes, so that a recovery is soon noticed.
    """
    if told := _told_wait(outcome):
        return told
    return min(backoff_seconds(failures, draw), LONGEST_PROBE_WAIT_SECONDS) if failures >= FAILURES_THAT_OPEN else 0.0


def scrubbed(text: str, *secrets: str) -> str:
    r"""Return the peer's words fit for a row and a page: one line, without our secrets, at most 200 characters.

    >>> scrubbed("no <b>\r\nhttps://hooks.example/T0/XYZ", "https://hooks.example/T0/XYZ")
    'no <b> [hidden]'
    """
    for secret in filter(None, secrets):
        text = text.replace(secret, "[hidden]")
    return " ".join(re.sub(r"[^\x20-\x7e\u00a0-\ud7ff]", " ", text).split())[:EXCERPT_LENGTH]


def _told_wait(outcome: Outcome) -> float | None:
    if outcome.retry_after_seconds is None:
        return None
    return min(max(outcome.retry_after_seconds, 1.0), LONGEST_TOLD_WAIT_SECONDS)
