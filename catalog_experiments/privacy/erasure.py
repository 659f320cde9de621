"""Forget a person: every row under their digests, for good. What was summed over many people stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

import orjson
from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from catalog_experiments.aggregation import keep_sums
from catalog_experiments.audit import record_erasure_event, record_event
from catalog_experiments.locking import save_change
from catalog_experiments.models import ErasedUnit, Experiment, UnitAlias
from catalog_experiments.models.fields import time_ordered_id
from catalog_experiments.privacy import records
from catalog_experiments.privacy.identity import Person, aliases_naming, relatives_of
from catalog_experiments.publication import publish_document

COUNTING_WAIT = "60s"
LOCK_MILLISECONDS = 500
TRIES = 20
PAUSE_SECONDS = 0.25

# What counts a phase is held off while a unit of it goes, the run under way waited for, its first one too. Taken before
# any other lock: such a run may take a while, and nobody should wait for us meanwhile. A run that waits for us finds
# the row changed and begins anew.
HOLD_OFF_COUNTING = """
INSERT INTO catalog_bundle_experiment_cursors (id, phase_id, served_spans)
SELECT gen_random_uuid(), phase.id, '[]' FROM catalog_bundle_experiment_phases phase
WHERE phase.facts_retired_at IS NULL AND EXISTS (
    SELECT FROM unnest(%s::uuid[]) AS known(unit) JOIN catalog_bundle_exposures exposure
        ON exposure.retention_month = date_trunc('month', phase.opened_at AT TIME ZONE 'UTC')::date
        AND exposure.experiment_id = phase.experiment_id AND exposure.phase_id = phase.id
        AND exposure.unit = known.unit)
ORDER BY phase.id
ON CONFLICT (phase_id) DO UPDATE SET phase_id = excluded.phase_id
"""

# For ids of a person that stay, other orders count from now on: no sums of theirs are kept.
COUNT_ANEW = """
UPDATE catalog_bundle_experiment_cursors held SET recorded_to = NULL
FROM catalog_bundle_experiment_phases phase
WHERE phase.id = held.phase_id AND EXISTS (
    SELECT FROM unnest(%s::uuid[]) AS known(unit) JOIN catalog_bundle_exposures exposure
        ON exposure.retention_month = date_trunc('month', phase.opened_at AT TIME ZONE 'UTC')::date
        AND exposure.experiment_id = phase.experiment_id AND exposure.phase_id = phase.id
        AND exposure.unit = known.unit)
"""

# Phases first, then the key of the table: no index serves a unit alone.
ERASE_EXPOSURES = """
WITH wanted AS MATERIALIZED (
    SELECT date_trunc('month', phase.opened_at AT TIME ZONE 'UTC')::date AS retention_month, phase.experiment_id,
           phase.id AS phase_id, known.unit
    FROM catalog_bundle_experiment_phases phase CROSS JOIN unnest(%s::uuid[]) AS known(unit)
)
DELETE FROM catalog_bundle_exposures exposure USING wanted
WHERE (exposure.retention_month, exposure.experiment_id, exposure.phase_id, exposure.unit)
    = (wanted.retention_month, wanted.experiment_id, wanted.phase_id, wanted.unit)
"""

ERASE_OPEN_UNITS = """
WITH wanted AS MATERIALIZED (
    SELECT phase.id, known.unit
    FROM catalog_bundle_experiment_phases phase CROSS JOIN unnest(%s::uuid[]) AS known(unit)
)
DELETE FROM catalog_bundle_experiment_open_units kept
USING wanted WHERE kept.phase_id = wanted.id AND kept.unit = wanted.unit
"""

ERASE_ORDERS = """
WITH placed AS MATERIALIZED (
    SELECT id FROM catalog_checkout_orders WHERE unit = ANY(%s::uuid[]) FOR UPDATE
), said AS (
    DELETE FROM catalog_bundle_order_outcomes WHERE order_id IN (SELECT id FROM placed) RETURNING 1
), gone AS (
    DELETE FROM catalog_checkout_orders WHERE id IN (SELECT id FROM placed) RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM said)
"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was, or would be, removed of one person.

    `ids` counts the ids it was stored under, aliases included; `forced_lists` the experiments that named it for QA,
    `documents` the published versions that did. `events` is how many audit events name it: history is append-only, and
    they stay. `was_erased` says that there was a tombstone already.
    """

    ids: int
    exposures: int
    orders: int
    outcomes: int
    aliases: int
    forced_lists: int
    documents: int
    events: int
    was_erased: bool

    @property
    def is_empty(self) -> bool:
        """Say whether there was nothing to remove."""
        removed = (self.exposures, self.orders, self.outcomes, self.aliases, self.forced_lists, self.documents)
        return not any(removed)


def preview(person: Person) -> Erasure:
    """Return what an erasure would remove now. Writes nothing."""
    orders = records.orders_of(person.units)
    return Erasure(
        ids=1 + len(person.joined),
        exposures=len(records.exposures_of(person.units)),
        orders=len(orders),
        outcomes=sum(len(order["outcomes"]) for order in orders),
        aliases=len(records.aliases_of(person.units)),
        forced_lists=len(records.forcing(person.unit_id)),
        documents=len(records.documents_naming(person.unit_id)),
        events=records.events_naming(person.unit_id),
        was_erased=_is_erased(person),
    )


def erase_unit(person: Person, *, actor: str, now: datetime, also: Callable[[], None] | None = None) -> Erasure:
    """Remove everything stored under the person's digests and leave tombstones, in one transaction. Safe to repeat.

    Reports under way are waited for, later ones of the same ids are refused as `erased`. Moments, tallies, metric rows
    and frozen records keep their sums: what the units had added is kept as sums of their days, and counted with these
    from then on. Where ids of the same person stay, phases that these met are counted anew without what went. Orders go
    with their lines: they are telemetry's copy, the shop's ledger is the shop's. One audit event says how much went,
    not whose.

    Args:
        person: from `find_person`.
        actor: "user:<username>" or "system:<command>".
        now: aware, UTC.
        also: removes what others store of the person, in the same transaction; called again when that is tried again.

    Raises:
        OperationalError: reports kept the tombstones busy all the time; nothing was changed.
    """
    for _ in range(TRIES - 1):
        try:
            return _erase(person, actor, now, also)
        except OperationalError as refused:
            # Inside a caller's transaction another try would only find it broken.
            if connection.in_atomic_block or not isinstance(refused.__cause__, LockNotAvailable):
                raise
            time.sleep(PAUSE_SECONDS)
    return _erase(person, actor, now, also)


@transaction.atomic
def _erase(person: Person, actor: str, now: datetime, also: Callable[[], None] | None) -> Erasure:
    relatives = relatives_of(person)
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{COUNTING_WAIT}'")
        cursor.execute(HOLD_OFF_COUNTING, [person.units + relatives])
    forced_lists = _unforce(person.unit_id, actor, now)
    documents = _clean_documents(person.unit_id)
    was_erased = _lay_tombstones(person, now)
    exposures, orders, outcomes = _erase_facts(person.units)
    if relatives:
        with connection.cursor() as cursor:
            cursor.execute(COUNT_ANEW, [relatives])
    aliases, _ = UnitAlias.objects.filter(aliases_naming(person.units)).delete()
    if also is not None:
        also()
    erasure = Erasure(
        ids=1 + len(person.joined),
        exposures=exposures,
        orders=orders,
        outcomes=outcomes,
        aliases=aliases,
        forced_lists=forced_lists,
        documents=documents,
        events=records.events_naming(person.unit_id),
        was_erased=was_erased,
    )
    if not (was_erased and erasure.is_empty):
        record_erasure_event(time_ordered_id(), actor=actor, counts=asdict(erasure), now=now)
    return erasure


def _erase_facts(units: list[UUID]) -> tuple[int, int, int]:
    keep_sums(units)
    with connection.cursor() as cursor:
        cursor.execute(ERASE_EXPOSURES, [units])
        exposures = cursor.rowcount
        cursor.execute(ERASE_OPEN_UNITS, [units])
        cursor.execute(ERASE_ORDERS, [units])
        orders, outcomes = cursor.fetchone()
    return exposures, orders, outcomes


def _lay_tombstones(person: Person, now: datetime) -> bool:
    """Lock out the reports, mark the ids as erased under the newest key, and say whether the given one was already."""
    with connection.cursor() as cursor:
        # Intake reads the table before it writes: who read it before us has committed when we get the lock.
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_MILLISECONDS}ms'")
        cursor.execute("LOCK TABLE catalog_erased_units IN ACCESS EXCLUSIVE MODE")
    was_erased = _is_erased(person)
    ErasedUnit.objects.filter(digest__in=person.own[1:]).delete()
    ErasedUnit.objects.bulk_create(
        [ErasedUnit(digest=digest, erased_at=now) for digest in (person.own[0], *person.joined)], ignore_conflicts=True
    )
    return was_erased


def _is_erased(person: Person) -> bool:
    return ErasedUnit.objects.filter(digest__in=person.own).exists()


def _unforce(unit_id: str, actor: str, now: datetime) -> int:
    """Take the raw id off the forced lists, live and pending; return how many experiments had it."""
    experiments = Experiment.objects.locked([experiment.pk for experiment in records.forcing(unit_id)])
    for experiment in experiments:
        before = {"forced_units": len(experiment.forced_units)}
        experiment.forced_units = _without(experiment.forced_units, unit_id)
        pending = experiment.pending_changes
        if "forced_units" in pending:
            experiment.pending_changes = {**pending, "forced_units": _without(pending["forced_units"], unit_id)}
        save_change(experiment, "forced_units", "pending_changes")
        after = {"forced_units": len(experiment.forced_units)}
        record_event(experiment, actor=actor, action="unforce_unit", before=before, after=after, now=now)
    if experiments:
        publish_document(now=now)
    return len(experiments)


def _clean_documents(unit_id: str) -> int:
    """Take the raw id off the forced lists of kept documents; their versions and all else stay. Return how many."""
    documents = records.documents_naming(unit_id)
    for document in documents:
        entries = [{**entry, "forced": _without(entry["forced"], unit_id)} for entry in records.entries_of(document)]
        document.text = orjson.dumps({**orjson.loads(document.text), "experiments": entries}).decode()
        document.save(update_fields=["text"])
    return len(documents)


def _without(forced: dict[str, str], unit_id: str) -> dict[str, str]:
    return {known: key for known, key in forced.items() if known != unit_id}
