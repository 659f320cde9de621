# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""What erased units had added: kept as sums when they went, and added back wherever a day is counted from its facts.

So n and sums of a day belong together whatever is counted later, and a count from all facts finds what was there
before. Whether a unit was cut is judged when it is erased: the moment of its exposure is not kept, so a pause that
comes later does not cut it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

from django.db import connection

from catalog_experiments.aggregation.acceptance import COUNTED as ACCEPTED
from catalog_experiments.aggregation.acceptance import ERASED_HOURS, SAID_ONE_BY_ONE
from catalog_experiments.aggregation.cohorts import ALL, KEY, lay_out_rows
from catalog_experiments.aggregation.cohorts import TABLE as COHORTS
from catalog_experiments.aggregation.cursors import OVERLAP
from catalog_experiments.aggregation.hourly import IS_HOURLY
from catalog_experiments.aggregation.scope import DAY, Scope
from catalog_experiments.aggregation.tallies import COUNTS, TALLY
from catalog_experiments.aggregation.tallies import TABLE as TALLIES
from catalog_experiments.aggregation.units import measure_some
from catalog_experiments.aggregation.workbench import Workbench, workbench
from catalog_experiments.models import AggregationCursor, ErasedCohort, Phase

TABLE = "catalog_erased_cohorts"


def _list(names: tuple[str, ...], pattern: str = "{}") -> str:
    return ", ".join(pattern.format(name) for name in names)


OF_COHORTS = f"""
SELECT kept.phase_id, own.variant_key, kept.cohort_date, own.segment, own.currency, {_list(ALL, "own.{}")}
FROM {TABLE} kept {{whose}}
CROSS JOIN LATERAL jsonb_populate_recordset(NULL::{COHORTS}, kept.sums -> 'cohorts') AS own"""
OF_TALLIES = f"""
SELECT kept.phase_id, own.variant_key, kept.cohort_date, own.outcome_hour_at, {_list(COUNTS, "own.{}")}
FROM {TABLE} kept {{whose}}
CROSS JOIN LATERAL jsonb_populate_recordset(NULL::{TALLIES}, kept.sums -> 'tallies') AS own"""
OF_PHASES = "JOIN phases USING (phase_id)"
OF_PRESENT_HOURS = f"WHERE kept.cohort_date >= phases.hours_from OR NOT {IS_HOURLY.format('own.segment')}"
OF_LEAVING = "JOIN (SELECT DISTINCT phase_id, cohort_date FROM leaving) AS day USING (phase_id, cohort_date)"

MET = """
SELECT phase.id FROM catalog_bundle_experiment_phases phase
WHERE EXISTS (
    SELECT FROM unnest(%(units)s::uuid[]) AS known(unit) JOIN catalog_bundle_exposures exposure
        ON exposure.retention_month = date_trunc('month', phase.opened_at AT TIME ZONE 'UTC')::date
        AND exposure.experiment_id = phase.experiment_id AND exposure.phase_id = phase.id
        AND exposure.unit = known.unit)"""

# Locked, so that an alias that is being settled does not change what is measured next.
LEAVING = f"""
SELECT exposure.phase_id, exposure.unit, {DAY} AS cohort_date, exposure.recorded_at
FROM phases phase
CROSS JOIN unnest(%(units)s::uuid[]) AS known(unit)
CROSS JOIN LATERAL (
    SELECT * FROM catalog_bundle_exposures kept
    WHERE kept.retention_month = phase.month AND kept.experiment_id = phase.experiment_id
        AND kept.phase_id = phase.phase_id AND kept.unit = known.unit
    OFFSET 0 FOR UPDATE
) AS exposure"""

ADDED_TALLIES = f"""
SELECT day.cohort_date, own.* FROM (SELECT DISTINCT phase_id, cohort_date FROM measured) AS day
CROSS JOIN LATERAL ({
    TALLY.format(
        units="(SELECT * FROM measured WHERE phase_id = day.phase_id AND cohort_date = day.cohort_date) AS of_day",
        sign="",
    )
}) AS own"""

DAY_KEY = ("phase_id", "cohort_date")
HOUR_KEY = ("phase_id", "variant_key", "cohort_date", "outcome_hour_at")


def _together(keys: tuple[str, ...], names: tuple[str, ...], added: str, former: str) -> str:
    return f"""
    SELECT {_list(keys)}, {_list(names, "sum({0}) AS {0}")}
    FROM (SELECT {_list(keys)}, {_list(names)} FROM {added} UNION ALL {former.format(whose=OF_LEAVING)}) AS together
    GROUP BY {_list(keys)}"""


def _listed(rows: str) -> str:
    return f"""COALESCE((
        SELECT jsonb_agg(to_jsonb(own) - 'phase_id' - 'cohort_date') FROM {rows} own
        WHERE own.phase_id = day.phase_id AND own.cohort_date = day.cohort_date), '[]')"""


# Nobody else is erased meanwhile: whoever erases has locked the tombstones.
ADD = """
ON CONFLICT (phase_id, cohort_date) DO UPDATE SET
    unit_count = kept.unit_count + excluded.unit_count, sums = excluded.sums"""
KEEP = f"""
WITH cohorts AS ({_together(KEY, ALL, "added", OF_COHORTS)}),
tallies AS ({_together(HOUR_KEY, COUNTS, "added_tallies", OF_TALLIES)}),
days AS (SELECT {_list(DAY_KEY)}, count(*) AS unit_count FROM leaving GROUP BY {_list(DAY_KEY)})
INSERT INTO {TABLE} AS kept (id, {_list(DAY_KEY)}, unit_count, sums)
SELECT gen_random_uuid(), day.*,
       jsonb_build_object('cohorts', {_listed("cohorts")}, 'tallies', {_listed("tallies")})
FROM days day
{ADD}"""

ORDERED = "(SELECT * FROM catalog_checkout_orders WHERE unit = ANY(%(units)s::uuid[])) AS placed"
KEEP_HOURS = f"""
WITH days AS (
    SELECT (placed_at AT TIME ZONE 'UTC')::date AS day, count(DISTINCT unit) AS unit_count FROM {ORDERED} GROUP BY 1
), hours AS (
    SELECT hour_at, bundle_id, sum(sample_size) AS sample_size, sum(acceptance_count) AS acceptance_count,
           max(last_accepted_at) AS last_accepted_at
    FROM (
        SELECT * FROM ({ACCEPTED.format(orders=ORDERED, said=SAID_ONE_BY_ONE)}) AS own
        UNION ALL
        SELECT * FROM ({ERASED_HOURS}) AS former
    ) AS together
    GROUP BY 1, 2
)
INSERT INTO {TABLE} AS kept (id, phase_id, cohort_date, unit_count, sums)
SELECT gen_random_uuid(), NULL, day, unit_count, jsonb_build_object('hours', COALESCE((
    SELECT jsonb_agg(to_jsonb(hours)) FROM hours WHERE (hour_at AT TIME ZONE 'UTC')::date = day), '[]'))
FROM days
{ADD}"""

# What was not counted yet stands in no sum: the next run counts the phase whole. All are written, whether or not they
# change, so that a run that waits for us begins anew with what we leave.
NOT_COUNTED = f"interval '{OVERLAP.total_seconds():.0f} seconds'"
ORDERED_AT = f"(SELECT max(revised_at) FROM {ORDERED})"
TOLD_AT = """(
    SELECT max(stored_at) FROM catalog_unit_aliases
    WHERE visitor = ANY(%(units)s::uuid[]) OR customer = ANY(%(units)s::uuid[]))"""
RECOUNT = f"""
UPDATE catalog_bundle_experiment_cursors held
SET recorded_to = CASE
    WHEN GREATEST(news.at, {ORDERED_AT}, {TOLD_AT}) < held.recorded_to - {NOT_COUNTED} THEN held.recorded_to END
FROM (SELECT phase_id, max(recorded_at) AS at FROM leaving GROUP BY phase_id) AS news
WHERE held.phase_id = news.phase_id"""
RECOUNT_HOURS = f"""
UPDATE catalog_bundle_experiment_cursors SET recorded_to = NULL
WHERE phase_id IS NULL AND recorded_to - {NOT_COUNTED} <= {ORDERED_AT}"""


def keep_sums(units: list[UUID]) -> None:
    """Keep what the units add to every sum, by cohort day and, for bundle acceptance, by day of the order.

    Call it before their facts go, in the same transaction, and one at a time.
    """
    with connection.cursor() as cursor:
        cursor.execute(MET, {"units": units})
        phases = Phase.objects.filter(pk__in=[phase_id for (phase_id,) in cursor.fetchall()])
    if phases:
        _keep_cohorts(list(phases), units)
    with connection.cursor() as cursor:
        cursor.execute(KEEP_HOURS, {"units": units})
        cursor.execute(RECOUNT_HOURS, {"units": units})


def _keep_cohorts(phases: list[Phase], units: list[UUID]) -> None:
    with workbench(_as_counted(phases), units=units) as bench:
        bench.lay_out("leaving", LEAVING)
        bench.run(RECOUNT)
        measure_some(bench, units="leaving")
        lay_out_rows(bench, units="leaving")
        bench.lay_out("added_tallies", ADDED_TALLIES)
        bench.run(KEEP)


def _as_counted(phases: list[Phase]) -> Scope:
    """Return the scope of the phases with the days that are open; of one that was never counted all are."""
    known = dict(AggregationCursor.objects.filter(phase__in=phases).values_list("phase_id", "open_from"))
    return replace(Scope.of(phases), open_from={phase.pk: known.get(phase.pk) or date.min for phase in phases})


def lay_out_erased(bench: Workbench) -> None:
    """Leave `erased` and `erased_tallies`: what erased units had added to the phases; no table if there is none."""
    if ErasedCohort.objects.filter(phase__in=[phase.pk for phase in bench.scope.phases]).exists():
        bench.lay_out("erased", f"{OF_COHORTS.format(whose=OF_PHASES)} {OF_PRESENT_HOURS}")
        bench.lay_out("erased_tallies", OF_TALLIES.format(whose=OF_PHASES))
