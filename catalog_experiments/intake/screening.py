"""Whose events are kept and never counted: bots, staff and tests. Each rule sees one event and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from catalog_experiments.intake.events import ExposureEvent, OrderEvent, Refused
from catalog_experiments.intake.fields import read_text
from catalog_experiments.models import ExcludedTraffic

LONGEST_USER_AGENT = 1_000
BOTS = (
    r"bot\b|bot/|crawl|spider|slurp|preview|headless-?check|monitor|uptime|pingdom|lighthouse|facebookexternalhit"
    r"|curl/|wget/|python-requests|go-http-client|libwww"
)


@dataclass(frozen=True, slots=True)
class Screen:
    """The rules of this site; each is read from the settings once per batch.

    `staff_units` are ids as they come in. An order is a test when its reference starts with one of `test_prefixes`, or
    its payment is one of `test_payments` (lower case).
    """

    staff_units: frozenset[str]
    bot_words: tuple[str, ...]
    test_prefixes: tuple[str, ...]
    test_payments: frozenset[str]

    @classmethod
    def of_site(cls) -> Screen:
        """Return the rules that are set now."""
        return cls(
            staff_units=frozenset(settings.TELEMETRY_STAFF_UNITS),
            bot_words=tuple(settings.TELEMETRY_BOT_WORDS),
            test_prefixes=tuple(filter(None, settings.TELEMETRY_TEST_ORDER_PREFIXES)),
            test_payments=frozenset(payment.lower() for payment in settings.TELEMETRY_TEST_PAYMENTS),
        )

    def exposure(self, event: ExposureEvent) -> str | None:
        """Say why an exposure is left out of every count, None when it counts.

        Raises:
            Refused: the event's own mark is none that is known.
        """
        return None if self._is_plain(event) else _first(self._visit(event))

    def order(self, event: OrderEvent) -> str | None:
        """Say why an order is left out of every count, None when it counts.

        Raises:
            Refused: the event's own mark is none that is known, or its payment is no text.
        """
        payment = "" if event.payment is None else read_text(event.payment, "payment", least=0)
        is_test = event.order_ref.startswith(self.test_prefixes) or payment.lower() in self.test_payments
        if not is_test and self._is_plain(event):
            return None
        return _first([*self._visit(event), *([ExcludedTraffic.TEST.value] if is_test else [])])

    def _is_plain(self, event: ExposureEvent | OrderEvent) -> bool:
        """Say whether nothing about the visit calls for a closer look: mostly so, and quickly said."""
        return event.traffic is None and event.user_agent is None and event.unit_id not in self.staff_units

    def _visit(self, event: ExposureEvent | OrderEvent) -> list[str]:
        reasons = [] if event.traffic is None else [_read_mark(event.traffic)]
        if event.user_agent is not None:
            user_agent = read_text(event.user_agent, "user_agent", LONGEST_USER_AGENT, least=0)
            reasons += [ExcludedTraffic.BOT.value] if is_bot(user_agent, self.bot_words) else []
        return reasons + ([ExcludedTraffic.STAFF.value] if event.unit_id in self.staff_units else [])


def is_bot(user_agent: str, more_words: tuple[str, ...] = ()) -> bool:
    """Say whether a browser's name is that of a machine; an empty name counts as one.

    Args:
        user_agent: the header as sent.
        more_words: words that also give a machine away, matched anywhere, in any case.

    >>> is_bot("Mozilla/5.0 (compatible; Googlebot/2.1)"), is_bot("Mozilla/5.0 (X11; Linux) Firefox/140.0")
    (True, False)
    >>> is_bot("WarehouseKiosk/2", ("kiosk",))
    True
    """
    return not user_agent or _pattern(more_words).search(user_agent) is not None


def least_reason(first: str | None, second: str | None) -> str | None:
    """Return the reason that wins over the other, whichever came first; None when neither is one.

    >>> least_reason("test", "bot"), least_reason(None, "staff"), least_reason(None, None)
    ('bot', 'staff', None)
    """
    return _first(reason for reason in (first, second) if reason is not None)


def _first(reasons: Iterable[str]) -> str | None:
    # By the alphabet, as the database's least() does it: reports in any order end in the same reason.
    return min(reasons, default=None)


@lru_cache(maxsize=8)
def _pattern(more_words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join([BOTS, *map(re.escape, more_words)]), re.IGNORECASE)


def _read_mark(value: object) -> str:
    if value not in ExcludedTraffic.values:
        raise Refused("traffic_invalid", f"traffic must be one of {', '.join(ExcludedTraffic.values)}, or absent.")
    return str(value)
