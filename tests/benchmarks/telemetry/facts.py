"""Facts of the make-believe shop, seeded: the same numbers make the same visitors, orders and outcomes.

Visitors come one after another and see a few product pages; orders follow within days, most from visitors who saw an
offer, some from those who will, some from nobody known. Nothing is held but the stretch of time being written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from random import Random

from django.db import connection, transaction

from catalog_experiments.intake import ServedSpan, retention_month
from catalog_experiments.models import Phase
from tests.benchmarks.telemetry import binary, orders
from tests.benchmarks.telemetry.shop import DAYS, Slot, variants_of

INTO = """catalog_bundle_exposures (id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at,
    recorded_at, is_mixed, is_fault, is_merged, is_holdout, segments)"""
SECOND = 1_000_000
DAY = 86_400 * SECOND
BEGINS = binary.columns(13)
SEGMENTS = [
    binary.document(f'{{"device": "{device}", "country": "{country}"}}'.encode())
    for country in ("DE", "DE", "AT", "FR", "US")
    for device in ("mobile", "mobile", "desktop", "tablet")
]
PLAIN, MIXED, FAULT, MERGED, HOLDOUT = (
    b"".join(binary.YES if place == own else binary.NO for place in range(4)) for own in (4, 0, 1, 2, 3)
)
STRIDES = (1, 3, 7, 9, 11, 13, 17, 19)
"""Steps through fifty product pages that come to none twice."""


@dataclass(frozen=True)
class Amount:
    """How many facts a stretch of time holds."""

    exposures: int
    orders: int

    def part(self, share: float) -> Amount:
        """Return a share of it."""
        return Amount(int(self.exposures * share), int(self.orders * share))


@dataclass(frozen=True)
class Stretch:
    """A stretch of one day; facts are recorded two seconds after they happened, or all at `recorded_at`."""

    day: int
    start_at: datetime
    length: timedelta = timedelta(days=1)
    recorded_at: datetime | None = None

    def moments(self, count: int) -> Iterator[tuple[int, int]]:
        """Yield so many times in even steps, each with when it was recorded, in microseconds."""
        first, length = binary.since_epoch(self.start_at), self.length // timedelta(microseconds=1)
        fixed = binary.since_epoch(self.recorded_at) if self.recorded_at else None
        for number in range(count):
            at = first + number * length // count
            yield at, at + 2 * SECOND if fixed is None else fixed


@dataclass(frozen=True)
class Served:
    """What a product page shows during one span of one phase, as bytes of a row; times in microseconds."""

    first_at: int
    last_at: int
    head: bytes
    variants: Sequence[bytes]

    @classmethod
    def of(cls, phase: Phase, span: ServedSpan) -> Served:
        """Prepare the columns that all rows of the span share."""
        month = binary.day(retention_month(phase.opened_at))
        head = month + binary.key(phase.experiment_id.bytes) + binary.key(phase.pk.bytes)
        last_at = binary.since_epoch(span.end_at) if span.end_at else 1 << 62
        return cls(binary.since_epoch(span.start_at), last_at, head, [binary.text(key) for key in variants_of(phase)])


class Writer:
    """Writes one stretch after another; remembers how many visitors came on each day."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        """Prepare what rows share."""
        self._served = [[Served.of(*span) for span in slot.spans] for slot in slots]
        self._pages = [orders.Page.of(slot) for slot in slots]
        self._visitors: dict[int, int] = {}
        self._orders = 0

    def write(self, stretch: Stretch, amount: Amount) -> None:
        """Write the exposures, the orders and their outcomes of a stretch, in one transaction."""
        outcomes: list[bytes] = []
        with transaction.atomic(), connection.cursor() as cursor:
            binary.copy(cursor, INTO, self._exposures(stretch, amount.exposures))
            binary.copy(cursor, orders.INTO, self._ordered(stretch, amount.orders, outcomes))
            binary.copy(cursor, orders.OUTCOMES_INTO, outcomes)

    def _exposures(self, stretch: Stretch, wanted: int) -> Iterator[bytes]:
        number = self._visitors.get(stretch.day, 0)
        seen: Iterator[bytes] = iter(())
        for at, recorded_at in stretch.moments(wanted):
            row = next(seen, None)
            while row is None:
                seen = self._seen_by(unit_of(stretch.day, number), at, recorded_at)
                row, number = next(seen, None), number + 1
            yield row
        self._visitors[stretch.day] = number

    def _seen_by(self, unit: bytes, at: int, recorded_at: int) -> Iterator[bytes]:
        segments, flags, key = SEGMENTS[unit[3] % len(SEGMENTS)], _flags(unit), binary.key(unit)
        times = binary.moment(at) + binary.moment(recorded_at)
        for place in pages_seen(unit, len(self._served)):
            for served in self._served[place]:
                if served.first_at <= at < served.last_at:
                    row_id = blake2b(unit, digest_size=16, salt=served.head[-16:]).digest()
                    variant = served.variants[row_id[0] % len(served.variants)]
                    yield b"".join((BEGINS, binary.key(row_id), served.head, key, variant, times, flags, segments))

    def _ordered(self, stretch: Stretch, wanted: int, outcomes: list[bytes]) -> Iterator[bytes]:
        chance = Random(f"orders {self._orders}")
        for at, recorded_at in stretch.moments(wanted):
            self._orders += 1
            unit = self._buyer(chance, stretch.day)
            page = self._pages[next(pages_seen(unit, len(self._pages)))]
            known = None if chance.random() < 0.12 else unit
            row, *said = orders.order(chance, self._orders, known, page, at, recorded_at)
            outcomes += said
            yield row

    def _buyer(self, chance: Random, today: int) -> bytes:
        """Return who orders: mostly a visitor of the last seven days, at times one who is yet to see an offer."""
        day = today + 1 + chance.randrange(14) if chance.random() < 0.2 else today - int(chance.random() ** 2 * 7)
        day = min(max(day, 0), DAYS)
        return unit_of(day, chance.randrange(self._visitors.get(day) or self._visitors[today]))


def unit_of(day: int, number: int) -> bytes:
    """Return the digest of a visitor, by the day and the turn of its first visit."""
    return blake2b(b"%d visitor %d" % (day, number), digest_size=16).digest()


def pages_seen(unit: bytes, pages: int) -> Iterator[int]:
    """Yield the places of the product pages a visitor sees: one to seven."""
    first, stride = unit[0], STRIDES[unit[1] % len(STRIDES)]
    return ((first + turn * stride) % pages for turn in range(1 + unit[2] % 7))


def _flags(unit: bytes) -> bytes:
    dice = unit[4] << 8 | unit[5]
    return MIXED if dice < 200 else FAULT if dice < 300 else MERGED if dice < 350 else HOLDOUT if dice < 600 else PLAIN
