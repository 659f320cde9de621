"""Record who reached an offer slot: one row per phase and unit, whatever order and however often reports arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from uuid_utils import uuid7

from catalog_experiments.intake import columns
from catalog_experiments.intake.aliases import settle_people
from catalog_experiments.intake.claims import Claim, ClaimBook
from catalog_experiments.intake.events import ExposureEvent, ItemResult, Refused
from catalog_experiments.intake.fields import read_segments, read_text, read_time, refuse_late
from catalog_experiments.intake.screening import Screen, least_reason
from catalog_experiments.intake.tombstones import ERASED, Tombstones
from catalog_experiments.intake.writing import chunks, read_ahead, write_surviving
from catalog_experiments.units import digest_bytes

CHUNK = 5_000
LONGEST_UNIT_ID = 255
REFUSED_BY_DATABASE = Refused("not_storable", "The database refused the item.")

# The database's clock stamps what changed, so that aggregation finds it whatever a caller's clock says. Rows come in
# the order of their key, so that two batches lock alike. Texts compare byte by byte, as in Python. Which changed is
# told only when not all did.
UPSERT = """
WITH changed AS (
INSERT INTO catalog_bundle_exposures AS kept (
    id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at, is_mixed, is_fault, is_holdout,
    claimed_key, excluded_as, segments, recorded_at)
SELECT new.*, clock_timestamp() FROM unnest(
    %s::uuid[], %s::date[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::boolean[],
    %s::boolean[], %s::boolean[], %s::text[], %s::text[], %s::jsonb[]) AS new
ON CONFLICT (retention_month, experiment_id, phase_id, unit) DO UPDATE SET
    (variant_key, exposed_at, segments) = (
        SELECT variant_key, exposed_at, segments FROM (VALUES
            (kept.variant_key, kept.exposed_at, kept.segments),
            (excluded.variant_key, excluded.exposed_at, excluded.segments)
        ) AS seen(variant_key, exposed_at, segments)
        ORDER BY exposed_at, variant_key COLLATE "C", segments::text COLLATE "C" NULLS LAST LIMIT 1),
    is_mixed = kept.is_mixed OR excluded.is_mixed
        OR coalesce(kept.claimed_key, kept.variant_key) <> coalesce(excluded.claimed_key, excluded.variant_key),
    is_fault = kept.is_fault OR excluded.is_fault,
    is_holdout = kept.is_holdout OR excluded.is_holdout,
    claimed_key = least(kept.claimed_key COLLATE "C", excluded.claimed_key COLLATE "C"),
    excluded_as = least(kept.excluded_as, excluded.excluded_as),
    recorded_at = excluded.recorded_at
WHERE (excluded.exposed_at, excluded.variant_key COLLATE "C") < (kept.exposed_at, kept.variant_key COLLATE "C")
   OR (NOT kept.is_mixed AND (excluded.is_mixed
       OR coalesce(kept.claimed_key, kept.variant_key) <> coalesce(excluded.claimed_key, excluded.variant_key)))
   OR (NOT kept.is_fault AND excluded.is_fault)
   OR (NOT kept.is_holdout AND excluded.is_holdout)
   OR excluded.claimed_key COLLATE "C" < kept.claimed_key COLLATE "C"
   OR least(kept.excluded_as, excluded.excluded_as) IS DISTINCT FROM kept.excluded_as
   OR ((excluded.exposed_at, excluded.variant_key) = (kept.exposed_at, kept.variant_key)
       AND excluded.segments <> kept.segments AND excluded.segments::text COLLATE "C" < kept.segments::text COLLATE "C")
   OR ((excluded.exposed_at, excluded.variant_key) = (kept.exposed_at, kept.variant_key)
       AND kept.segments IS NULL AND excluded.segments IS NOT NULL)
RETURNING phase_id, unit)
SELECT count(*), CASE WHEN count(*) < %s THEN array_agg(phase_id) END, CASE WHEN count(*) < %s THEN array_agg(unit) END
FROM changed
"""

EXPERIMENT, PHASE = slice(4, 20), slice(20, 36)
"""Where they lie in the key of a phase."""

Key = tuple[bytes, bytes]
"""Key of the phase, and digest of the unit: sorts as the rows do."""


@dataclass(slots=True)
class Sighting:
    """All reports of one unit in one phase within a chunk, folded into one row; `places` are theirs in the chunk."""

    places: list[int]
    claim: Claim
    segments: bytes | None
    claimed_key: str | None
    is_holdout: bool
    excluded_as: str | None = None
    is_mixed: bool = False

    @classmethod
    def of(cls, claim: Claim, segments: bytes | None, place: int, excluded_as: str | None = None) -> Sighting:
        """Return what one report says. What a bot was shown is nobody's fault: only the computed variant is kept."""
        claimed_key = claim.claimed_key if excluded_as is None else None
        return cls([place], claim, segments, claimed_key, claim.is_holdout, excluded_as)

    @property
    def seen_key(self) -> str:
        """Return the variant the client showed."""
        return self.claimed_key or self.claim.variant_key

    def fold(self, other: Sighting) -> None:
        """Take in another report: the least (time, variant key, segments) stays, and the least wrong claim."""
        self.places += other.places
        self.is_mixed |= other.seen_key != self.seen_key
        self.is_holdout |= other.is_holdout
        self.excluded_as = least_reason(self.excluded_as, other.excluded_as)
        self.claimed_key = min(filter(None, (self.claimed_key, other.claimed_key)), default=None)
        if _order(other) < _order(self):
            self.claim, self.segments = other.claim, other.segments


def _order(sighting: Sighting) -> tuple[datetime, str, bool, bytes]:
    claim, segments = sighting.claim, sighting.segments
    return claim.exposed_at, claim.variant_key, segments is None, segments or b""


def record_exposures(
    events: Sequence[ExposureEvent], *, now: datetime, check_lateness: bool = True
) -> tuple[ItemResult, ...]:
    """Store exposures and answer for each, in their order, after commit.

    Any split, order and repetition of the same reports ends in the same rows. Outcomes: accepted (also with code
    `clamped`; `client_fault` when the claimed variant is not the computed one: kept under the computed one, never
    counted; `held_out` when a holdout keeps the unit from every result; `excluded` for bots, staff and tests: kept and
    never counted), duplicate, rejected.

    Args:
        events: any number; written in chunks, each in its own transaction.
        now: aware; times up to 5 minutes ahead become now, later ones are rejected.
        check_lateness: False lets an import bring exposures older than 30 days.
    """
    if not events:
        return ()
    book, screen = ClaimBook(event.experiment for event in events), Screen.of_site()

    def read(place: int, piece: Sequence[ExposureEvent]) -> _Batch:
        batch = _Batch(place * CHUNK, book, screen, now, check_lateness)
        for event in piece:
            batch.take(event)
        return batch

    results: list[ItemResult] = []
    for batch in read_ahead(list(chunks(events, CHUNK)), read):
        batch.store()
        results += batch.results
    return tuple(results)


class _Batch:
    """One chunk of reports on its way into the table; `first_index` is the place of its first item in the call."""

    def __init__(self, first_index: int, book: ClaimBook, screen: Screen, now: datetime, check_lateness: bool) -> None:
        self._first_index = first_index
        self._book = book
        self._screen = screen
        self._now = now
        self._check_lateness = check_lateness
        self._sightings: dict[Key, Sighting] = {}
        self._tombstones = Tombstones()
        self.results: list[ItemResult] = []

    def take(self, event: ExposureEvent) -> None:
        """Check one report and fold it into the row of its unit."""
        place = len(self.results)
        try:
            event = self._book.with_unit(event)
            sighting, code = self._read(event, place)
        except Refused as refused:
            self.results.append(refused.result(self._first_index + place))
            return
        self.results.append(ItemResult(self._first_index + place, "accepted", code))
        key = (sighting.claim.phase.key, digest_bytes(event.unit_id))
        self._tombstones.note(event.unit_id)
        known = self._sightings.setdefault(key, sighting)
        if known is not sighting:
            known.fold(sighting)

    def store(self) -> None:
        """Write the rows and mark the reports that told nothing new."""
        if not self._sightings:
            return
        changed: set[Key] = set()
        write_surviving(sorted(self._sightings), lambda rows: changed.update(self._upsert(rows)), self._refuse)
        settle_people(UUID(bytes=unit) for _, unit in self._sightings)
        if len(changed) < len(self.results):
            self._mark_duplicates(changed)

    def _mark_duplicates(self, changed: set[Key]) -> None:
        for key, sighting in self._sightings.items():
            # One report of a changed row made the change; the others of the batch repeat it.
            for place in sighting.places[1:] if key in changed else sighting.places:
                if self.results[place].code in ("", "clamped", "held_out", "excluded"):
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
        sighting = Sighting.of(claim, read_segments(event.segments), place, self._screen.exposure(event))
        return sighting, _code(sighting, is_clamped=arrival.is_clamped)

    def _refuse(self, key: Key, refused: Refused = REFUSED_BY_DATABASE) -> None:
        for place in self._sightings[key].places:
            self.results[place] = refused.result(self._first_index + place)

    def _upsert(self, keys: Sequence[Key]) -> Iterable[Key]:
        welcome = self._welcome(keys)
        if not welcome:
            return ()
        sightings = [self._sightings[key] for key in welcome]
        sent = len(welcome)
        [(changed, phases, units)] = columns.fetch(UPSERT, [*_columns(welcome, sightings), sent, sent])
        if changed == sent:
            return welcome
        known = {key[PHASE]: key for key, _ in welcome}
        return ((known[phase.bytes], unit.bytes) for phase, unit in zip(phases or (), units or (), strict=True))

    def _welcome(self, keys: Sequence[Key]) -> Sequence[Key]:
        erased = {unit.bytes for unit in self._tombstones.erased()}
        if not erased:
            return keys
        for key in keys:
            if key[1] in erased:
                self._refuse(key, ERASED)
        return [key for key in keys if key[1] not in erased]


def _columns(keys: Sequence[Key], sightings: Sequence[Sighting]) -> Iterator[columns.Column]:
    claims = [sighting.claim for sighting in sightings]
    yield columns.uuids([uuid7().bytes for _ in keys])
    yield columns.days([claim.phase.month for claim in claims])
    yield columns.uuids([phase[EXPERIMENT] for phase, _ in keys])
    yield columns.uuids([phase[PHASE] for phase, _ in keys])
    yield columns.uuids([unit for _, unit in keys])
    yield columns.texts([claim.variant_key for claim in claims])
    yield columns.moments([claim.exposed_at for claim in claims])
    yield columns.flags([sighting.is_mixed for sighting in sightings])
    yield columns.flags([sighting.claimed_key is not None for sighting in sightings])
    yield columns.flags([sighting.is_holdout for sighting in sightings])
    yield columns.texts([sighting.claimed_key for sighting in sightings])
    yield columns.texts([sighting.excluded_as for sighting in sightings])
    yield columns.documents([sighting.segments for sighting in sightings])


def _code(sighting: Sighting, *, is_clamped: bool) -> str:
    if sighting.excluded_as is not None:
        return "excluded"
    if sighting.is_holdout:
        return "held_out"
    if sighting.claimed_key is not None:
        return "client_fault"
    return "clamped" if is_clamped else ""
