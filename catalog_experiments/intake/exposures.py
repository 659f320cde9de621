"""Record who reached an offer slot: one row per phase and unit, whatever order and however often reports arrive."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from catalog_experiments.intake import exposure_rows
from catalog_experiments.intake.aliases import settle_people
from catalog_experiments.intake.bookkeeping import note_answers
from catalog_experiments.intake.claim_book import ClaimBook
from catalog_experiments.intake.events import ExposureEvent, ItemResult, Refused
from catalog_experiments.intake.fields import read_segments, read_text, read_time, refuse_late
from catalog_experiments.intake.screening import Screen
from catalog_experiments.intake.sightings import Key, Sighting
from catalog_experiments.intake.steps import Work, outcome
from catalog_experiments.intake.tombstones import ERASED, Tombstones
from catalog_experiments.intake.writing import batches, chunks, collector_at_rest, read_in_turn, write_surviving
from catalog_experiments.models import IntakeKind
from catalog_experiments.units import digester

CHUNK = 10_000
READ_AT_ONCE = 50
"""Reports checked at each step."""

COPIED_FROM = 500
"""Rows of a chunk from which on they are copied, in the hope that all are new; fewer are merged in one statement."""

MARKS = frozenset({"clamped", "held_out", "excluded"})
"""Codes of what is stored all the same; sent again, it is a duplicate like any other."""

LONGEST_UNIT_ID = 255
REFUSED_BY_DATABASE = Refused("not_storable", "The database refused the item.")


@collector_at_rest()
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
    rules = _Rules(ClaimBook(event.experiment for event in events), Screen.of_site(), now, check_lateness)
    results: list[ItemResult] = []
    is_news = True
    for batch, following in read_in_turn(batches(events, CHUNK, partial(_Batch, rules))):
        is_news = batch.store(is_news=is_news, meanwhile=following) and is_news
        results += batch.results
    note_answers(IntakeKind.EXPOSURES, results, now=now)
    return tuple(results)


class _Rules(NamedTuple):
    """What the reports of one call are checked against."""

    book: ClaimBook
    screen: Screen
    now: datetime
    check_lateness: bool


class _Batch:
    """One chunk of reports on its way into the table; `first_index` is the place of its first item in the call."""

    def __init__(self, rules: _Rules, first_index: int, events: Sequence[ExposureEvent]) -> None:
        self._first_index = first_index
        self._events = events
        self._rules = rules
        self._sightings: dict[Key, Sighting] = {}
        self._tombstones = Tombstones()
        self._digest = digester()
        self.results: list[ItemResult] = []

    def reading(self) -> Work:
        """Check the reports and fold them into the rows of their units, a few at each step; then lay out the rows."""
        for few in chunks(self._events, READ_AT_ONCE):
            for event in few:
                self._take(event)
            yield
        keys = sorted(self._sightings)
        self._rows = yield from exposure_rows.lay_out(keys, [self._sightings[key] for key in keys])

    def _take(self, event: ExposureEvent) -> None:
        place = len(self.results)
        try:
            event = self._rules.book.with_unit(event)
            sighting, code = self._read(event, place)
        except Refused as refused:
            self.results.append(refused.result(self._first_index + place))
            return
        self.results.append(ItemResult(self._first_index + place, "accepted", code))
        key = (sighting.claim.phase.key, self._digest(event.unit_id))
        self._tombstones.note(event.unit_id)
        known = self._sightings.setdefault(key, sighting)
        if known is not sighting:
            known.fold(sighting)

    def store(self, *, is_news: bool, meanwhile: Work) -> bool:
        """Write the rows, mark the reports that told nothing new, and say whether each row was new or changed.

        `is_news` is the hope that the rows are new: then many of them are copied. `meanwhile` goes on while the
        database works.
        """
        keys, changed = self._rows.keys, set[Key]()
        is_many = len(keys) >= COPIED_FROM
        if is_many and is_news:
            is_news = not exposure_rows.known(keys[:1])  # one look spares the copying of what comes again
        is_one_statement = not (is_many and is_news) and not self._tombstones.may_stand_under_older_keys
        write = self._merge if is_one_statement else partial(self._write, is_copied=is_many)
        write_surviving(
            keys,
            lambda keys: changed.update(write(keys, is_news=is_news, meanwhile=meanwhile)),
            self._refuse,
            is_one_statement=is_one_statement,
        )
        if self._sightings:
            settle_people(UUID(bytes=unit) for _, unit in self._sightings)
        if len(changed) < len(self.results):
            self._mark_duplicates(changed)
        return len(changed) == len(self._sightings)

    def _mark_duplicates(self, changed: set[Key]) -> None:
        for key, sighting in self._sightings.items():
            # One report of a changed row made the change; the others of the batch repeat it.
            for place in sighting.places[1:] if key in changed else sighting.places:
                result = self.results[place]
                if not result.code or result.code in MARKS:
                    result.outcome, result.code = "duplicate", ""

    def _read(self, event: ExposureEvent, place: int) -> tuple[Sighting, str]:
        read_text(event.experiment, "experiment")
        read_text(event.unit_id, "unit_id", LONGEST_UNIT_ID)
        if event.variant_key or event.variant_position is None:
            read_text(event.variant_key, "variant_key")
        arrival = read_time(event.exposed_at or self._rules.now, now=self._rules.now, name="exposed_at")
        if arrival.is_late and self._rules.check_lateness:
            raise refuse_late("exposed_at")
        claim = self._rules.book.settle(event, arrival.at)
        sighting = Sighting.of(claim, read_segments(event.segments), place, self._rules.screen.exposure(event))
        return sighting, _code(sighting, is_clamped=arrival.is_clamped)

    def _refuse(self, key: Key, refused: Refused = REFUSED_BY_DATABASE) -> None:
        for place in self._sightings[key].places:
            self.results[place] = refused.result(self._first_index + place)

    def _merge(self, keys: Sequence[Key], *, is_news: bool, meanwhile: Work) -> Iterable[Key]:
        written = exposure_rows.merge(self._rows_of(keys), is_news=is_news, meanwhile=meanwhile)
        self._without(written.erased, keys)
        return written.changed

    def _write(self, keys: Sequence[Key], *, is_news: bool, meanwhile: Work, is_copied: bool) -> Iterable[Key]:
        welcome = self._without(self._tombstones.erased(), keys)
        if self._tombstones.may_stand_under_older_keys:
            return self._merge_under_their_keys(welcome, meanwhile)
        if not welcome or (is_copied and exposure_rows.copy(self._rows_of(welcome), meanwhile=meanwhile)):
            return welcome
        return self._merge(welcome, is_news=is_news, meanwhile=meanwhile)

    def _rows_of(self, keys: Sequence[Key]) -> exposure_rows.Rows:
        """Return the rows as they were laid out; of some of them anew."""
        if len(keys) == len(self._rows.keys):
            return self._rows
        return outcome(exposure_rows.lay_out(keys, [self._sightings[key] for key in keys]))

    def _merge_under_their_keys(self, keys: Sequence[Key], meanwhile: Work) -> Iterable[Key]:
        """Merge each report into the row that its unit has under an older key; without one, as always."""
        older = self._tombstones.older_digests()
        known = exposure_rows.known((phase, digest) for phase, unit in keys for digest in older.get(unit, ()))
        key_of = {(phase, digest): (phase, unit) for phase, unit in keys for digest in (unit, *older.get(unit, ()))}
        moved = {key_of[row]: row for row in known}
        rows = sorted(moved.get(key, key) for key in keys)
        laid_out = exposure_rows.lay_out(rows, [self._sightings[key_of[row]] for row in rows])
        written = exposure_rows.merge(outcome(laid_out), is_news=True, meanwhile=meanwhile)
        return [key_of[row] for row in written.changed]

    def _without(self, erased: Collection[bytes], keys: Sequence[Key]) -> Sequence[Key]:
        if not erased:
            return keys
        for key in keys:
            if key[1] in erased:
                self._refuse(key, ERASED)
        return [key for key in keys if key[1] not in erased]


def _code(sighting: Sighting, *, is_clamped: bool) -> str:
    if sighting.excluded_as is not None:
        return "excluded"
    if sighting.is_holdout:
        return "held_out"
    if sighting.claimed_key is not None:
        return "client_fault"
    return "clamped" if is_clamped else ""
