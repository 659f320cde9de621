"""Everything that happens between claim and settlement: each target's messages go out in a thread of their own.

No database here: a peer that hangs holds neither a transaction nor the messages to anybody else.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import SimpleQueue
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings

from notifications.channels import CHANNELS, SECONDS_BETWEEN, Envelope
from notifications.messages import Notice
from notifications.models import Alert, Delivery
from notifications.outcomes import Outcome, OutcomeClass

logger = logging.getLogger(__name__)

# No send begins later than this in a lease, so that the slowest one (13 s and its body) still ends within it.
SEND_WINDOW = timedelta(seconds=30)


@dataclass(frozen=True)
class Clock:
    """The caller's `now`, going on from there."""

    started_at: datetime
    _start: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """Return the present moment."""
        return self.started_at + timedelta(seconds=time.monotonic() - self._start)


@dataclass(frozen=True)
class Batch:
    """What one sender holds of one target; rows most urgent first."""

    target: str
    token: UUID
    rows: tuple[Delivery, ...]
    send_until: datetime


@dataclass(frozen=True)
class Attempt:
    """One row of a batch after its turn; without `outcome` when it was held back because the target is in trouble."""

    batch: Batch
    row: Delivery
    outcome: Outcome | None
    began_at: datetime
    ended_at: datetime


def send_batches(batches: Sequence[Batch], clock: Clock) -> Iterator[Attempt]:
    """Send each batch in a thread of its own and yield every row as soon as its fate is known."""
    if not batches:
        return
    done: SimpleQueue[Attempt] = SimpleQueue()
    envelopes = [(batch, [envelope_of(row, clock.now()) for row in batch.rows]) for batch in batches]
    with ThreadPoolExecutor(len(batches), thread_name_prefix="alerts") as pool:
        for batch, contents in envelopes:
            pool.submit(_send_batch, batch, contents, clock, done.put)
        for _ in range(sum(len(batch.rows) for batch in batches)):
            yield done.get()


def envelope_of(row: Delivery, now: datetime) -> Envelope:
    """Return what the channel needs of a delivery; after a refused message the plain form is asked for."""
    return Envelope(
        delivery_id=row.pk,
        notice=notice_of(row.alert),
        sent_at=now,
        recipient=row.recipient,
        is_plain=row.last_class == OutcomeClass.BAD_MESSAGE,
    )


def notice_of(alert: Alert) -> Notice:
    """Return an alert as plain values, its times to be shown in the shop's zone."""
    return Notice(
        alert_id=alert.pk,
        reference=alert.reference,
        kind=alert.kind,
        severity=alert.severity,
        subject=alert.subject,
        summary=alert.summary,
        facts=alert.facts,
        occurred_at=alert.occurred_at,
        zone=ZoneInfo(settings.CATALOG_SHOP_TIME_ZONE),
    )


def _send_batch(batch: Batch, envelopes: Sequence[Envelope], clock: Clock, report: Callable[[Attempt], None]) -> None:
    """Send row by row at the pace the target bears; hold the rest back once the target itself is in trouble."""
    is_held = False
    for position, (row, envelope) in enumerate(zip(batch.rows, envelopes, strict=True)):
        if position and not is_held:
            time.sleep(SECONDS_BETWEEN[row.channel])
        began_at = clock.now()
        is_held = is_held or began_at > batch.send_until
        outcome = None if is_held else _send(row.channel, envelope)
        report(Attempt(batch, row, outcome, began_at, clock.now()))
        is_held = is_held or (
            outcome is not None and outcome.is_target_wide and outcome.outcome_class is not OutcomeClass.OK
        )


def _send(channel: str, envelope: Envelope) -> Outcome:
    try:
        return CHANNELS[channel](envelope)
    except Exception as error:  # a defect of ours must neither lose the message nor stop the others
        # The error's own words may hold the target's address, so only its kind and place are told.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        logger.error("channel %s failed: %s in %s:%s", channel, type(error).__name__, frame.filename, frame.lineno)
        return Outcome(OutcomeClass.TRANSIENT, None, f"Our own error: {type(error).__name__}.", is_target_wide=True)
