"""Exposures leave: a month's partition as a whole where nothing in it is needed, else phase by phase in batches."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from datetime import date
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from psycopg import sql
from psycopg.errors import LockNotAvailable

from catalog_experiments.intake import retention_month
from catalog_experiments.models import Exposure, Phase, PhaseOrigin
from catalog_experiments.phases import partition_name
from catalog_experiments.progress import Progress
from catalog_experiments.retention import rules
from catalog_experiments.retention.report import PhaseFacts

STAGE = "exposures"
LOCK_MILLISECONDS = 300
TRIES = 10
PAUSE_SECONDS = 0.5

NO_TIME_LIMIT = "SET LOCAL statement_timeout = 0"

# A relation holds other phases too: each is told its share of the relation's size by its share of the rows.
COUNT = """
WITH held AS MATERIALIZED (
    SELECT tableoid AS relation, phase_id, count(*) AS row_count FROM catalog_bundle_exposures
    WHERE retention_month = ANY(%s) GROUP BY 1, 2
), sized AS (
    SELECT held.relation, pg_total_relation_size(held.relation) AS size_bytes,
           greatest(sum(held.row_count), max(pg_class.reltuples)::numeric) AS row_count
    FROM held JOIN pg_class ON pg_class.oid = held.relation GROUP BY 1
)
SELECT held.phase_id, held.relation::regclass::text, held.row_count,
       (sized.size_bytes * held.row_count / sized.row_count)::bigint
FROM held JOIN sized USING (relation)
WHERE held.phase_id = ANY(%s)
ORDER BY 2, 1
"""

# The least unit, as the key of the table has it first: of just any one the planner hopes that it comes soon.
LEFT_BEHIND = """
SELECT phase.id FROM catalog_bundle_experiment_phases phase
CROSS JOIN LATERAL (
    SELECT FROM catalog_bundle_exposures exposure
    WHERE exposure.retention_month = date_trunc('month', phase.opened_at AT TIME ZONE 'UTC')::date
      AND exposure.experiment_id = phase.experiment_id AND exposure.phase_id = phase.id
    ORDER BY exposure.unit LIMIT 1
) AS held
WHERE phase.facts_retired_at IS NOT NULL
"""

DELETE = """
DELETE FROM catalog_bundle_exposures
WHERE retention_month = %(month)s AND experiment_id = %(experiment)s AND phase_id = %(phase)s AND unit IN (
    SELECT unit FROM catalog_bundle_exposures
    WHERE retention_month = %(month)s AND experiment_id = %(experiment)s AND phase_id = %(phase)s
    LIMIT %(batch)s)
"""


def left_behind() -> list[Phase]:
    """Return the retired phases that hold exposures: a run was killed, or a report slipped in."""
    with connection.cursor() as cursor:
        cursor.execute(LEFT_BEHIND)
        found = [phase_id for (phase_id,) in cursor.fetchall()]
    return list(Phase.objects.filter(pk__in=found).order_by("opened_at", "pk"))


def survey(phases: Collection[Phase]) -> tuple[PhaseFacts, ...]:
    """Return what the phases hold, a row per phase and table; those without exposures are absent. Reads only."""
    known = {phase.pk: phase for phase in phases}
    if not known:
        return ()
    months = sorted({_month(phase) for phase in phases})
    spare = {partition_name(month) for month in months if not _is_needed(month, leaving=known)}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(NO_TIME_LIMIT)
        cursor.execute(COUNT, [months, list(known)])
        rows = cursor.fetchall()
    slugs = dict(Phase.objects.filter(pk__in=known).values_list("pk", "experiment__slug"))
    return tuple(
        PhaseFacts(slugs[phase_id], known[phase_id].number, partition, count, size, partition in spare)
        for phase_id, partition, count, size in rows
    )


def remove(phases: Collection[Phase], *, expected: int, tell: Progress) -> tuple[str, ...]:
    """Remove the exposures of retired phases and return the partitions that could not be locked.

    Partitions with nothing else in them are dropped; rows go in batches, each its own transaction. Safe to repeat.

    Args:
        phases: marked as retired and committed, so that nobody counts them any more.
        expected: exposures they hold together, for the progress.
        tell: told how many are gone.
    """
    months, done = sorted({_month(phase) for phase in phases}), 0
    busy = tuple(partition_name(month) for month in months if not _drop(month))
    tell(STAGE, done, expected)
    for phase in phases:
        if partition_name(_month(phase)) not in busy:
            for count in _delete(phase):
                done += count
                tell(STAGE, done, expected)
    tell(STAGE, expected, expected)
    return busy


def _drop(month: date) -> bool:
    """Drop the month's partition unless something in it is needed; False when others hold it all the time."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            _drop_at_once(month)
        except OperationalError as refused:
            if not isinstance(refused.__cause__, LockNotAvailable):
                raise
            continue
        return True
    return False


@transaction.atomic
def _drop_at_once(month: date) -> None:
    name = partition_name(month)
    if not _exists(name) or _is_needed(month):
        return
    with connection.cursor() as cursor:
        # Everything that touches exposures queues up behind this lock: it gives up soon, and is asked for again.
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_MILLISECONDS}ms'")
        cursor.execute("LOCK TABLE catalog_bundle_exposures IN ACCESS EXCLUSIVE MODE")
        # An import may have opened a phase of this month meanwhile; from here on none can write to it.
        if not _is_needed(month):
            cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))


def _exists(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        return bool(cursor.fetchone()[0])


def _is_needed(month: date, *, leaving: Collection[UUID] = ()) -> bool:
    """Say whether a phase that opened in the month may still be counted from facts; a seeded one only if it has any."""
    counted = Phase.objects.with_facts().exclude(pk__in=leaving)
    present = [phase for phase in counted if _month(phase) == month]
    seeded = [phase.pk for phase in present if phase.origin == PhaseOrigin.SEEDED]
    if len(seeded) < len(present):
        return True
    return bool(seeded) and Exposure.objects.filter(retention_month=month, phase__in=seeded).exists()


def _delete(phase: Phase) -> Iterator[int]:
    parameters: dict[str, Any] = {"month": _month(phase), "experiment": phase.experiment_id, "phase": phase.pk}
    count = rules.BATCH
    while count == rules.BATCH:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(DELETE, {**parameters, "batch": rules.BATCH})
            count = cursor.rowcount
        yield count


def _month(phase: Phase) -> date:
    return retention_month(phase.opened_at)
