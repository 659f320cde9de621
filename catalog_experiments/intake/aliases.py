"""Who is one person: a customer joins the visitor ids it was seen under, and is counted once in each open phase.

Of a person's exposures in a phase the earliest stays; the later ones become `merged`, or all of them `mixed` when they
showed different variants. A phase that is closed is never rewritten. Orders stay as they are: for whom they count is
found where they are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from catalog_experiments.intake.bookkeeping import note_answers
from catalog_experiments.intake.events import ItemResult, Refused
from catalog_experiments.intake.fields import read_text
from catalog_experiments.intake.tombstones import ERASED, Tombstones
from catalog_experiments.models import IntakeKind, UnitAlias
from catalog_experiments.units import digest_unit

LONGEST_UNIT_ID = 255
_LOCK = (7_311_003, 0)

# One row per exposure of the people told of, in open phases; read and locked in the order of the key, as intake writes.
# `seen` is what the client showed. A person who met two variants tells about neither. `OFFSET 0` keeps each look-up by
# the key of the table behind the person and the phase it is for: the planner takes all of them for met, when few are,
# and would read the exposures of every open month. So it would for `news` as a condition: of a text it knows nothing
# about it expects one in two hundred.
SETTLE = """
WITH told AS (
    SELECT DISTINCT alias.customer FROM catalog_unit_aliases alias
    WHERE alias.visitor = ANY(%(units)s) OR alias.customer = ANY(%(units)s)
), person AS (
    SELECT customer, customer AS unit FROM told
    UNION
    SELECT customer, alias.visitor FROM told JOIN catalog_unit_aliases alias USING (customer)
), met AS MATERIALIZED (
    SELECT wanted.customer, exposure.*
    FROM (
        SELECT person.customer, person.unit, phase.id AS phase_id, phase.experiment_id,
            date_trunc('month', phase.opened_at AT TIME ZONE 'UTC')::date AS retention_month
        FROM person CROSS JOIN catalog_bundle_experiment_phases phase
        WHERE phase.closed_at IS NULL
        ORDER BY retention_month, phase.experiment_id, phase.id, person.unit
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT kept.retention_month, kept.experiment_id, kept.phase_id, kept.unit, kept.exposed_at, kept.variant_key,
            coalesce(kept.claimed_key, kept.variant_key) AS seen, kept.is_mixed, kept.is_merged
        FROM catalog_bundle_exposures kept
        WHERE kept.retention_month = wanted.retention_month AND kept.experiment_id = wanted.experiment_id
            AND kept.phase_id = wanted.phase_id AND kept.unit = wanted.unit
        OFFSET 0 FOR UPDATE
    ) AS exposure
), ranked AS (
    SELECT *,
        row_number() OVER (PARTITION BY customer, phase_id ORDER BY exposed_at, variant_key COLLATE "C", unit) AS turn,
        min(seen) OVER whole <> max(seen) OVER whole OR bool_or(is_mixed) OVER whole AS differs
    FROM met WINDOW whole AS (PARTITION BY customer, phase_id)
), judged AS (
    SELECT *, CASE WHEN is_merged <> (turn > 1 AND NOT differs) OR (differs AND NOT is_mixed) THEN 'yes' END AS news
    FROM ranked
)
UPDATE catalog_bundle_exposures AS kept SET
    is_mixed = kept.is_mixed OR judged.differs,
    is_merged = judged.turn > 1 AND NOT judged.differs,
    recorded_at = clock_timestamp()
FROM judged
WHERE (kept.retention_month, kept.experiment_id, kept.phase_id, kept.unit)
    = (judged.retention_month, judged.experiment_id, judged.phase_id, judged.unit)
  AND judged.news = 'yes'
"""


@dataclass(frozen=True, slots=True)
class AliasEvent:
    """The shop saw that `customer_id` is the person it knew as `visitor_id`: at login, or at checkout."""

    visitor_id: str
    customer_id: str


def record_aliases(events: Sequence[AliasEvent], *, now: datetime) -> tuple[ItemResult, ...]:
    """Store who is one person, mark their exposures in open phases, and answer for each, in order, after commit.

    Safe to repeat. Outcomes: accepted, duplicate, conflict (the visitor id is another customer's already, or the
    customer's id is itself a visitor's: what is known is kept), rejected.
    """
    tombstones = Tombstones()
    read = [_read(event, tombstones) for event in events]
    with transaction.atomic():
        with connection.cursor() as cursor:
            # One at a time, so that no two of them make a chain of people between them.
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", _LOCK)
        erased = tombstones.erased()
        read = [
            pair if isinstance(pair, Refused) or erased.isdisjoint(unit.bytes for unit in pair) else ERASED
            for pair in read
        ]
        pairs = [pair for pair in read if not isinstance(pair, Refused)]
        book = _AliasBook(pairs)
        results = tuple(
            pair.result(index) if isinstance(pair, Refused) else book.take(index, pair)
            for index, pair in enumerate(read)
        )
        UnitAlias.objects.bulk_create(
            UnitAlias(visitor=visitor, customer=customer, recorded_at=now) for visitor, customer in book.added
        )
    # After the commit, as intake does with exposures: whichever of the two comes second sees what the first one wrote.
    # All that were named, not only the new ones, so that sending again completes what a crash cut short.
    settle_people({unit for pair in pairs for unit in pair})
    note_answers(IntakeKind.ALIASES, results, now=now)
    return results


def settle_people(units: Iterable[UUID]) -> None:
    """Mark what the people behind these units met in open phases; units without an alias are left alone.

    Call it after exposures or aliases were committed. Safe to repeat.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM catalog_unit_aliases)")  # by hand: every batch asks
        if cursor.fetchone()[0]:
            cursor.execute(SETTLE, {"units": list(units)})


Pair = tuple[UUID, UUID]
"""Digests of a visitor id and of the customer id."""


class _AliasBook:
    """What is known of the ids a batch names, and what it adds."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        named = {unit for pair in pairs for unit in pair}
        by_visitor = UnitAlias.objects.filter(visitor__in=named).values_list("visitor", "customer")
        by_customer = UnitAlias.objects.filter(customer__in=named).values_list("customer", flat=True)
        self._customer_of: dict[UUID, UUID] = dict(by_visitor)
        self._customers = set(by_customer)
        self.added: list[Pair] = []

    def take(self, index: int, pair: Pair) -> ItemResult:
        visitor, customer = pair
        known = self._customer_of.get(visitor)
        if known == customer:
            return ItemResult(index, "duplicate")
        if known is not None:
            detail = "The visitor id belongs to another customer already; the first report is kept."
            return ItemResult(index, "conflict", "visitor_taken", detail)
        if customer in self._customer_of or visitor in self._customers:
            detail = "One of the ids is a visitor's in one report and a customer's in another; the first is kept."
            return ItemResult(index, "conflict", "kind_of_id", detail)
        self._customer_of[visitor] = customer
        self._customers.add(customer)
        self.added.append(pair)
        return ItemResult(index, "accepted")


def _read(event: AliasEvent, tombstones: Tombstones) -> Pair | Refused:
    try:
        visitor = read_text(event.visitor_id, "visitor_id", LONGEST_UNIT_ID)
        customer = read_text(event.customer_id, "customer_id", LONGEST_UNIT_ID)
        if visitor == customer:
            raise Refused("same_id", "The two ids are one; there is nothing to join.")
    except Refused as refused:
        return refused
    for unit_id in (visitor, customer):
        tombstones.note(unit_id)
    return digest_unit(visitor), digest_unit(customer)
