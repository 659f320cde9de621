"""Record who reached an offer slot: one row per phase and unit, whatever order and however often reports arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from catalog_experiments.intake.aliases import settle_people
from catalog_experiments.intake.claims import Claim, ClaimBook
from catalog_experiments.intake.events import ExposureEvent, ItemResult, Refused
from catalog_experiments.intake.fields import read_segments, read_text, read_time, refuse_late
from catalog_experiments.intake.writing import chunks, write_surviving
from catalog_experiments.models.fields import time_ordered_id
from catalog_experiments.units import digest_unit

CHUNK = 5_000
LONGEST_UNIT_ID = 255
REFUSED_BY_DATABASE = Refused("not_storable", "The database refused the item.")

# The database's clock stamps what changed, so that aggregation finds it whatever a caller's clock says. Rows are
# ordered by key so that two batches lock alike. Texts compare byte by byte, as in Python.
UPSERT = """
INSERT INTO catalog_bundle_exposures AS kept (
    id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at, recorded_at, is_mixed, is_fault,
    is_holdout, claimed_key, segments)
SELECT id, month, experiment_id, phase_id, unit, variant_key, exposed_at, clock_timestamp(), is_mixed, is_fault,
    is_holdout, claimed_key, segments
FROM jsonb_to_recordset(%s::jsonb) AS new(
    id uuid, month date, experiment_id uuid, phase_id uuid, unit uuid, variant_key text, exposed_at timestamptz,
    is_mixed boolean, is_fault boolean, is_holdout boolean, claimed_key text, segments jsonb)
ORDER BY month, experiment_id, phase_id, unit
ON CONFLICT (retention_month, experiment_id, phase_id, unit) DO UPDATE SET
    (variant_key, exposed_at, segments) = (
        SELECT variant_key, exposed_at, segments FROM (VALUES
            (kept.variant_key, kept.exposed_at, kept.segments, 0),
            (excluded.variant_key, excluded.exposed_at, excluded.segments, 1)
        ) AS seen(variant_key, exposed_at, segments, place)
        ORDER BY exposed_at, variant_key COLLATE "C", place LIMIT 1),
    is_mixed = kept.is_mixed OR excluded.is_mixed
        OR coalesce(kept.claimed_key, kept.variant_key) <> coalesce(excluded.claimed_key, excluded.variant_key),
    is_fault = kept.is_fault OR excluded.is_fault,
    is_holdout = kept.is_holdout OR excluded.is_holdout,
    claimed_key = least(kept.claimed_key COLLATE "C", excluded.claimed_key COLLATE "C"),
    recorded_at = excluded.recorded_at
WHERE (excluded.exposed_at, excluded.variant_key COLLATE "C") < (kept.exposed_at, kept.variant_key COLLATE "C")
   OR (NOT kept.is_mixed AND (excluded.is_mixed
       OR coalesce(kept.claimed_key, kept.variant_key) <> coalesce(excluded.claimed_key, excluded.variant_key)))
   OR (NOT kept.is_fault AND excluded.is_fault)
   OR (NOT kept.is_holdout AND excluded.is_holdout)
   OR excluded.claimed_key COLLATE "C" < kept.claimed_key COLLATE "C"
RETURNING phase_id, unit
"""

Key = tuple[UUID, UUID]
"""Phase and unit digest."""


@dataclass(slots=True)
class Sighting:
    """All reports of one unit in one phase within a chunk, folded into one row; `places` are theirs in the chunk."""

    places: list[int]
    claim: Claim
    segments: dict[str, str] | None
    claimed_key: str | None
    is_holdout: bool
    is_mixed: bool = False

    @classmethod
    def of(cls, claim: Claim, segments: dict[str, str] | None, place: int) -> Sighting:
        """Return what one report says."""
        return cls([place], claim, segments, claim.claimed_key, claim.is_holdout)

    @property
    def seen_key(self) -> str:
        """Return the variant the client showed."""
        return self.claimed_key or self.claim.variant_key

    def fold(self, other: Sighting) -> None:
        """Take in another report: the least (time, variant key) stays, and the least wrong claim."""
        self.places += other.places
        self.is_mixed |= other.seen_key != self.seen_key
        self.is_holdout |= other.is_holdout
        self.claimed_key = min(filter(None, (self.claimed_key, other.claimed_key)), default=None)
        if _order(other.claim) < _order(self.claim):
            self.claim, self.segments = other.claim, other.segments

    def row(self, unit: UUID) -> dict[str, Any]:
        """Return the row to store."""
        return {
            "id": time_ordered_id(),
            "month": self.claim.phase.month,
            "experiment_id": self.claim.phase.experiment_id,
            "phase_id": self.claim.phase.phase_id,
            "unit": unit,
            "variant_key": self.claim.variant_key,
            "exposed_at": self.claim.exposed_at,
            "is_mixed": self.is_mixed,
            "is_fault": self.claimed_key is not None,
            "is_holdout": self.is_holdout,
            "claimed_key": self.claimed_key,
            "segments": self.segments,
        }


def _order(claim: Claim) -> tuple[datetime, str]:
    return claim.exposed_at, claim.variant_key


def record_exposures(
    events: Sequence[ExposureEvent], *, now: datetime, check_lateness: bool = True
) -> tuple[ItemResult, ...]:
    """Store exposures and answer for each, in their order, after commit.

    Any split, order and repetition of the same reports ends in the same rows. Outcomes: accepted (also with code
    `clamped`; `client_fault` when the claimed variant is not the computed one: kept under the computed one, never
    counted; `held_out` when a holdout keeps the unit from every result), duplicate, rejected.

    Args:
        events: any number; written in chunks, each in its own transaction.
        now: aware; times up to 5 minutes ahead become now, later ones are rejected.
        check_lateness: False lets an import bring exposures older than 30 days.
    """
    book = ClaimBook(event.experiment for event in events)
    results: list[ItemResult] = []
    for piece in chunks(events, CHUNK):
        batch = _Batch(len(results), book, now, check_lateness)
        for event in piece:
            batch.take(event)
        batch.store()
        results += batch.results
    return tuple(results)


class _Batch:
    """One chunk of reports on its way into the table; `first_index` is the place of its first item in the call."""

    def __init__(self, first_index: int, book: ClaimBook, now: datetime, check_lateness: bool) -> None:
        self._first_index = first_index
        self._book = book
        self._now = now
        self._check_lateness = check_lateness
        self._sightings: dict[Key, Sighting] = {}
        self.results: list[ItemResult] = []

    def take(self, event: ExposureEvent) -> None:
        """Check one report and fold it into the row of its unit."""
        place = len(self.results)
        index = self._first_index + place
        try:
            event = self._book.with_unit(event)
            sighting, code = self._read(event, place)
        except Refused as refused:
            self.results.append(refused.result(index))
            return
        self.results.append(ItemResult(index, "accepted", code))
        key = (sighting.claim.phase.phase_id, digest_unit(event.unit_id))
        if key in self._sightings:
            self._sightings[key].fold(sighting)
        else:
            self._sightings[key] = sighting

    def store(self) -> None:
        """Write the rows and mark the reports that told nothing new."""
        changed: set[Key] = set()
        write_surviving(list(self._sightings), lambda keys: changed.update(self._upsert(keys)), self._refuse)
        settle_people({unit for _, unit in self._sightings})
        for key, sighting in self._sightings.items():
            # One report of a changed row made the change; the others of the batch repeat it.
            for place in sighting.places[1:] if key in changed else sighting.places:
                if self.results[place].code in ("", "clamped", "held_out"):
                    self.results[place] = ItemResult(self._first_index + place, "duplicate")

    def _read(self, event: ExposureEvent, place: int) -> tuple[Sighting, str]:
        read_text(event.experiment, "experiment")
        read_text(event.unit_id, "unit_id", LONGEST_UNIT_ID)
        if event.variant_key or event.variant_position is None:
            read_text(event.variant_key, "variant_key")
        arrival = read_time(event.exposed_at or self._now, now=self._now, name="exposed_at")
        if arrival.is_late and self._check_lateness:
            raise refuse_late("exposed_at")
        claim = self._book.settle(event, arrival.at)
        return Sighting.of(claim, read_segments(event.segments), place), _code(claim, is_clamped=arrival.is_clamped)

    def _refuse(self, key: Key) -> None:
        for place in self._sightings[key].places:
            self.results[place] = REFUSED_BY_DATABASE.result(self._first_index + place)

    def _upsert(self, keys: Sequence[Key]) -> list[Key]:
        payload = orjson.dumps([self._sightings[key].row(unit=key[1]) for key in keys]).decode()
        with connection.cursor() as cursor:
            cursor.execute(UPSERT, [payload])
            return [(phase_id, unit) for phase_id, unit in cursor.fetchall()]


def _code(claim: Claim, *, is_clamped: bool) -> str:
    codes = {"held_out": claim.is_holdout, "client_fault": claim.is_fault, "clamped": is_clamped}
    return next((code for code, holds in codes.items() if holds), "")
