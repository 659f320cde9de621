"""The statements that write exposures: known units are merged, and a chunk of none but new ones is copied."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from typing import NamedTuple

from django.db import IntegrityError, transaction
from uuid_utils import uuid7

from catalog_experiments.intake import columns
from catalog_experiments.intake.sightings import Key, Sighting
from catalog_experiments.intake.steps import Steps, Work, one_by_one

TABLE = """catalog_bundle_exposures (
    id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at, is_mixed, is_fault, is_holdout,
    claimed_key, excluded_as, segments, recorded_at)"""

# Where reports come again, those that say what is known already are left out before a row is locked for them.
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
    %s::boolean[], %s::boolean[], %s::text[], %s::text[], %s::jsonb[]
) AS new(id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at, is_mixed, is_fault, is_holdout,
    claimed_key, excluded_as, segments)
WHERE NOT EXISTS (SELECT FROM catalog_erased_units WHERE digest = new.unit) AND (%s OR NOT EXISTS (
    SELECT FROM catalog_bundle_exposures known
    WHERE (known.retention_month, known.experiment_id, known.phase_id, known.unit)
        = (new.retention_month, new.experiment_id, new.phase_id, new.unit)
      AND (known.exposed_at, known.variant_key) = (new.exposed_at, new.variant_key)
      AND (known.claimed_key, known.excluded_as, known.segments)
          IS NOT DISTINCT FROM (new.claimed_key, new.excluded_as, new.segments)
      AND known.is_mixed >= new.is_mixed AND known.is_fault >= new.is_fault AND known.is_holdout >= new.is_holdout))
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
SELECT count(*), CASE WHEN count(*) < %s THEN array_agg(phase_id) END, CASE WHEN count(*) < %s THEN array_agg(unit) END,
    CASE WHEN count(*) < %s THEN ARRAY(SELECT digest FROM catalog_erased_units WHERE digest = ANY(%s)) END
FROM changed
"""

KNOWN = """
SELECT wanted.phase_id, wanted.unit FROM unnest(%s::date[], %s::uuid[], %s::uuid[], %s::uuid[])
    AS wanted(retention_month, experiment_id, phase_id, unit)
JOIN catalog_bundle_exposures kept USING (retention_month, experiment_id, phase_id, unit)
"""

UNITS = 4
"""The place of their column."""

MONTH, EXPERIMENT, PHASE = slice(0, 4), slice(4, 20), slice(20, 36)
"""Where they lie in the key of a phase; the month is that of its first day, as an ordinal."""


class Written(NamedTuple):
    """Which rows a statement inserted or changed, and which units it left out because they were erased."""

    changed: Collection[Key]
    erased: Collection[bytes] = ()


class Rows(NamedTuple):
    """Rows ready to be sent: their keys, and their columns in the order of `TABLE` but for the time of recording."""

    keys: Sequence[Key]
    columns: Sequence[columns.Column]


def lay_out(keys: Sequence[Key], sightings: Sequence[Sighting]) -> Steps[Rows]:
    """Lay out the rows of these keys, sorted, and of what was seen of each, a column at each step."""
    return Rows(keys, (yield from one_by_one(_columns(keys, sightings))))


def merge(rows: Rows, *, is_news: bool, meanwhile: Work) -> Written:
    """Insert the rows, or merge them into those that are known, in one statement: it may stand without a transaction.

    `is_news` is the hope that they are new; without it, those that say nothing new are looked for first. Reading the
    erased units, the statement holds off an erasure until its commit, and one under way holds it off.
    """
    sent = len(rows.keys)
    [(count, phases, changed, erased)] = columns.fetch(
        UPSERT, [*rows.columns, is_news, sent, sent, sent, rows.columns[UNITS]], meanwhile=meanwhile
    )
    if count == sent:
        return Written(rows.keys)
    by_id = {key[PHASE]: key for key, _ in rows.keys}
    pairs = zip(phases or (), changed or (), strict=True)
    return Written([(by_id[phase.bytes], unit.bytes) for phase, unit in pairs], {unit.bytes for unit in erased})


def known(keys: Iterable[Key]) -> set[Key]:
    """Return those of the keys that rows stand under."""
    wanted = list(keys)
    phases = {phase[PHASE]: phase for phase, _ in wanted}
    months = [date.fromordinal(int.from_bytes(phase[MONTH])) for phase, _ in wanted]
    sent = [columns.uuids([phase[part] for phase, _ in wanted]) for part in (EXPERIMENT, PHASE)]
    found = columns.fetch(KNOWN, [columns.days(months), *sent, columns.uuids([unit for _, unit in wanted])])
    return {(phases[phase.bytes], unit.bytes) for phase, unit in found}


def copy(rows: Rows, *, meanwhile: Work) -> bool:
    """Copy rows, at two thirds of what merging costs; False, with nothing written, when one of them is known.

    Call it inside a transaction that has read the erased units. Rows before the known one are left for the vacuum.
    `meanwhile` goes on while the database works.
    """
    [(now,)] = columns.fetch("SELECT clock_timestamp()", [])
    try:
        with transaction.atomic():
            columns.copy(TABLE, [*rows.columns, columns.moments([now] * len(rows.keys))], meanwhile=meanwhile)
    except IntegrityError:
        return False
    return True


def _columns(keys: Sequence[Key], sightings: Sequence[Sighting]) -> Iterator[columns.Column]:
    claims = [sighting.claim for sighting in sightings]
    yield columns.uuids([uuid7().bytes for _ in keys])
    yield columns.days([claim.phase.month for claim in claims])
    yield columns.uuids([phase[EXPERIMENT] for phase, _ in keys])
    yield columns.uuids([phase[PHASE] for phase, _ in keys])
    yield columns.uuids([unit for _, unit in keys])
    yield columns.labels([claim.variant_key for claim in claims])
    yield columns.moments([claim.exposed_at for claim in claims])
    yield columns.flags([sighting.is_mixed for sighting in sightings])
    yield columns.flags([sighting.claimed_key is not None for sighting in sightings])
    yield columns.flags([sighting.is_holdout for sighting in sightings])
    yield columns.labels([sighting.claimed_key for sighting in sightings])
    yield columns.labels([sighting.excluded_as for sighting in sightings])
    yield columns.descriptions([sighting.segments for sighting in sightings])
