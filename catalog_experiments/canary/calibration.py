"""The weekly calibration: last weeks' visitors, split by our own bucketing and compared by our own test, 200 times."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from catalog_experiments.aggregation.drawing import DrawnUnit, draw_units
from catalog_experiments.assignment import allocation, bucket
from catalog_experiments.canary.alarms import raise_for_calibration
from catalog_experiments.models import CalibrationRun
from catalog_experiments.stats.canary import FEWEST_BUYERS, FEWEST_DRAWN, SPLITS, halves_differ, is_red
from catalog_experiments.stats.moments import VariantMoments

LOOKBACK = timedelta(days=28)
MOST_UNITS = 50_000
"""Units drawn at most: 200 splits of so many take a few seconds."""

Progress = Callable[[int, int], None]
"""Told how many of how many splits are done."""


def calibrate(*, now: datetime, seed: str | None = None, progress: Progress | None = None) -> CalibrationRun:
    """Split the units of the last 28 days anew 200 times, store how many splits differ, and raise an alarm when red.

    Run and alarm commit together. While an earlier calibration's alarm stands, no second one is raised.

    Args:
        now: aware, UTC.
        seed: of the draw and the salts, kept in the row; None draws one.
        progress: called after each split.
    """
    seed = secrets.token_hex(8) if seed is None else seed
    since_at = now - LOOKBACK
    units = draw_units(since_at=since_at, now=now, seed=seed, most=MOST_UNITS)
    rejections = count_rejections(units, salts_of(seed), progress=progress) if _are_enough(units) else None
    with transaction.atomic():
        run = CalibrationRun.objects.create(
            ran_at=now,
            since_at=since_at,
            seed=seed,
            unit_count=len(units),
            buyer_count=_buyers(units),
            split_count=SPLITS,
            rejection_count=rejections,
            is_red=None if rejections is None else is_red(rejections),
        )
        if run.is_red:
            raise_for_calibration(run, now=now)
    return run


def salts_of(seed: str) -> Iterator[str]:
    """Yield 200 salts of sixteen characters, as phases have them.

    >>> len(set(salts_of("seed"))), next(salts_of("seed"))
    (200, '58f9082db66a15d6')
    """
    return (hashlib.sha256(f"{seed}:{number}".encode()).hexdigest()[:16] for number in range(SPLITS))


def count_rejections(units: Sequence[DrawnUnit], salts: Iterable[str], *, progress: Progress | None = None) -> int:
    """Return how many of the splits, one per salt, tell the halves of the units apart."""
    rejections = 0
    for done, salt in enumerate(salts, start=1):
        rejections += halves_differ(*_halves(units, salt))
        if progress:
            progress(done, SPLITS)
    return rejections


def _halves(units: Sequence[DrawnUnit], salt: str) -> tuple[VariantMoments, VariantMoments]:
    _, (start, end) = allocation([1, 1])
    in_test = [unit.has_ordered for unit in units if start <= bucket(salt, unit.unit) < end]
    half = VariantMoments.of_counts(sum(in_test), len(in_test))
    return half, VariantMoments.of_counts(_buyers(units) - sum(in_test), len(units) - len(in_test))


def _are_enough(units: Sequence[DrawnUnit]) -> bool:
    return len(units) >= FEWEST_DRAWN and _buyers(units) >= FEWEST_BUYERS


def _buyers(units: Iterable[DrawnUnit]) -> int:
    return sum(unit.has_ordered for unit in units)
