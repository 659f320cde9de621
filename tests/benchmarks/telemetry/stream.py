"""Reports as a shop sends them, seeded: exposures with the variant the storefront computed, and orders with lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random

from catalog_experiments.assignment import allocation, bucket, choose_variant
from catalog_experiments.intake import ExposureEvent, OrderEvent, OrderLine
from catalog_experiments.models import Phase
from tests.benchmarks.telemetry.shop import Slot, variants_of

SEGMENTS = tuple(
    {"device": device, "country": country}
    for device in ("mobile", "desktop", "tablet")
    for country in ("DE", "FR", "US")
)
SPAN = timedelta(hours=20)


def exposures(slots: Sequence[Slot], count: int, *, now: datetime, seed: int) -> Iterator[ExposureEvent]:
    """Yield so many exposures of the last hours, each of another visitor with a random id."""
    chance = Random(seed)
    for _ in range(count):
        slot = chance.choice(slots)
        phase = slot.phases[-1]
        unit_id, key = _enrolled(chance, phase)
        yield ExposureEvent(
            experiment=f"experiment-{slot.number}",
            unit_id=unit_id,
            variant_key=key,
            exposed_at=now - SPAN * chance.random(),
            phase=phase.number,
            segments=chance.choice(SEGMENTS),
        )


def orders(slots: Sequence[Slot], count: int, *, now: datetime, seed: int) -> Iterator[OrderEvent]:
    """Yield so many orders of the last hours: one to four lines, three in ten with the parts of a bundle."""
    chance = Random(seed)
    for _ in range(count):
        number = chance.choice(slots).number
        lines = [OrderLine(f"product-{number}", 1, 2_400, 1_300)]
        if chance.random() < 0.3:
            lines.append(OrderLine(f"part-{number}-0", 1, 900, 500))
        lines += [
            OrderLine(f"other-{chance.randrange(200)}", 1 + chance.randrange(3), 300 + chance.randrange(4_000), 150)
            for _ in range(chance.randrange(3))
        ]
        yield OrderEvent(
            order_ref=f"W-{chance.getrandbits(64):016x}",
            placed_at=now - SPAN * chance.random(),
            currency="EUR",
            lines=tuple(lines),
            unit_id=_visitor(chance) if chance.random() < 0.9 else None,
        )


def _enrolled(chance: Random, phase: Phase) -> tuple[str, str]:
    # Thirds do not fill ten thousand buckets: the last one is nobody's.
    keys, place = variants_of(phase), None
    while place is None:
        unit_id = _visitor(chance)
        place = choose_variant(allocation([1] * len(keys)), bucket(phase.salt, unit_id))
    return unit_id, keys[place]


def _visitor(chance: Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"
