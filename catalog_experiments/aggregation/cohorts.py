# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""The rows of the cohort days: how many units met a variant, counted from exposures, and the sums of what they did.

A day is either made anew from its facts, or its counts are taken again and its sums moved by the difference that the
changed units make. Both end in the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable

from catalog_experiments.aggregation.hourly import HOUR_OF
from catalog_experiments.aggregation.scope import COUNTS, DAY, HOUR, SPANS
from catalog_experiments.aggregation.units import (
    ALL_EXPOSURES,
    COUNTRY,
    DEVICE,
    EXPOSURES_OF_DAYS,
    EXPOSURES_OF_UNITS,
    IS_SERVED,
    UNCUT,
    UNCUT_DAY,
)
from catalog_experiments.aggregation.workbench import Workbench

KEY = ("phase_id", "variant_key", "cohort_date", "segment", "currency")

COUNTED = {
    "exposed": COUNTS,
    "uncut": f"{COUNTS} AND {UNCUT}",
    "uncut_day": f"{COUNTS} AND {UNCUT_DAY}",
    "mixed": "exposure.is_mixed AND NOT exposure.is_holdout AND exposure.excluded_as IS NULL",
    "faulty": "exposure.is_fault AND NOT exposure.is_holdout AND exposure.excluded_as IS NULL",
    "merged": "exposure.is_merged AND NOT exposure.is_holdout AND exposure.excluded_as IS NULL",
    "holdout": "exposure.is_holdout",
    "bots": "exposure.excluded_as = 'bot' AND NOT exposure.is_holdout",
    "staff": "exposure.excluded_as = 'staff' AND NOT exposure.is_holdout",
    "tests": "exposure.excluded_as = 'test' AND NOT exposure.is_holdout",
}
"""Columns that count exposures, each with which."""

ANY, WHOLE, FIRST_DAY = "true", "is_uncut", "is_uncut_day"
SUMMED = {
    "known": ("1", WHOLE),
    "revised": ("is_revised::int", ANY),
    "uncosted": ("(NOT is_costed)::int", WHOLE),
    "x": ("x", WHOLE),
    "x_squares": ("x * x", WHOLE),
    "revenue": ("revenue", WHOLE),
    "revenue_squares": ("revenue * revenue", WHOLE),
    "revenue_x": ("revenue * x", WHOLE),
    "raw_revenue": ("raw_revenue", WHOLE),
    "raw_revenue_squares": ("raw_revenue * raw_revenue", WHOLE),
    "margin": ("margin", WHOLE),
    "margin_squares": ("margin * margin", WHOLE),
    "margin_x": ("margin * x", WHOLE),
    "raw_margin": ("raw_margin", WHOLE),
    "raw_margin_squares": ("raw_margin * raw_margin", WHOLE),
    "bought": ("bought", WHOLE),
    "bought_x": ("bought * x", WHOLE),
    "took": ("took", WHOLE),
    "took_x": ("took * x", WHOLE),
    "own_orders": ("own_orders", WHOLE),
    "own_orders_squares": ("own_orders * own_orders", WHOLE),
    "revenue_own_orders": ("revenue * own_orders", WHOLE),
    "orders": ("orders", WHOLE),
    "orders_squares": ("orders * orders", WHOLE),
    "pieces": ("pieces", WHOLE),
    "pieces_squares": ("pieces * pieces", WHOLE),
    "pieces_orders": ("pieces * orders", WHOLE),
    "alone": ("alone", WHOLE),
    "alone_squares": ("alone * alone", WHOLE),
    "bundled": ("bundled", WHOLE),
    "bundled_squares": ("bundled * bundled", WHOLE),
    "alone_bundled": ("alone * bundled", WHOLE),
    "day_bought": ("day_bought", FIRST_DAY),
    "day_took": ("day_took", FIRST_DAY),
    "day_revenue": ("day_revenue", FIRST_DAY),
    "day_revenue_squares": ("day_revenue * day_revenue", FIRST_DAY),
}
"""Columns that sum over units, each with what a unit adds and which units do."""


def _names(names: Iterable[str], pattern: str = "{}") -> str:
    return ", ".join(pattern.format(name) for name in names)


def _widened(what: str) -> str:
    return what.replace(" * ", "{wide} * ")


SEGMENTS_OF_UNIT = f"""CROSS JOIN LATERAL (VALUES
    (''), ('device:' || device), ('country:' || country), ({HOUR_OF}),
    (CASE WHEN is_returning THEN 'history:returning' END)
) AS own(segment)"""
SEGMENTS_OF_EXPOSURE = f"""CROSS JOIN LATERAL (VALUES
    (''), ('device:' || device), ('country:' || country), ({HOUR_OF})
) AS own(segment)"""

# `{spans}` may begin with a WITH of the spans, so that several processes count at once: a temporary table is for one.
COUNT = f"""
SELECT phase_id, variant_key, cohort_date, segment, {_names(COUNTED, "sum({0})::bigint AS {0}")}
FROM (
    SELECT phase_id, variant_key, cohort_date, device, country, cohort_hour,
           {_names(COUNTED, "count(*) FILTER (WHERE {0}) AS {0}")}
    FROM (
        {{spans}}
        SELECT span.phase_id, exposure.variant_key, {DAY} AS cohort_date, {DEVICE} AS device, {COUNTRY} AS country,
               CASE WHEN {DAY} >= span.hours_from THEN {HOUR} END AS cohort_hour,
               {", ".join(f"{which} AS {name}" for name, which in COUNTED.items())}
        FROM {{chosen}}
        WHERE {IS_SERVED}
    ) AS seen
    GROUP BY 1, 2, 3, 4, 5, 6
) AS finest
{SEGMENTS_OF_EXPOSURE}
WHERE segment IS NOT NULL
GROUP BY 1, 2, 3, 4"""

# `{wide}` makes products numeric where an amount is huge: eight bytes end at the square of 3 * 10^9.
SUM = f"""
WITH finest AS (
    SELECT phase_id, variant_key, cohort_date, device, country, is_returning, is_uncut, is_uncut_day,
           CASE WHEN cohort_date >= hours_from THEN cohort_hour END AS cohort_hour,
           {", ".join(f"sum({{sign}}({_widened(what)})) AS {name}" for name, (what, _) in SUMMED.items())}
    FROM {{units}} JOIN phases USING (phase_id)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), paid AS (
    SELECT {{sign}}1 AS sign, phase_id, variant_key, cohort_date, unit, money ->> 0 AS currency,
           sum((money ->> 1)::numeric) AS revenue
    FROM {{units}} CROSS JOIN LATERAL jsonb_array_elements(foreign_revenue) AS money
    WHERE is_uncut AND foreign_revenue IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT phase_id, variant_key, cohort_date, segment, '' AS currency, {
    ", ".join(f"COALESCE(sum({name}) FILTER (WHERE {which}), 0) AS {name}" for name, (_, which) in SUMMED.items())
}
FROM finest {SEGMENTS_OF_UNIT}
WHERE segment IS NOT NULL
GROUP BY 1, 2, 3, 4
UNION ALL
SELECT phase_id, variant_key, cohort_date, '', currency, {
    ", ".join(
        {"revenue": "sum(sign * revenue)", "revenue_squares": "sum(sign * revenue * revenue)"}.get(name, "0")
        for name in SUMMED
    )
}
FROM paid GROUP BY 1, 2, 3, 4, 5"""

# Many units make few sums, which the planner cannot foresee: it would sort the units.
BY_HASH, AS_BEFORE = "SET LOCAL enable_sort = off", "SET LOCAL enable_sort TO DEFAULT"

ARE_HUGE = """
SELECT COALESCE(max(GREATEST(x, raw_revenue, abs(raw_revenue), abs(raw_margin), pieces)) > 3000000000, false)
FROM {units}"""

ALL = (*COUNTED, *SUMMED)
TABLE = "catalog_bundle_experiment_cohorts"
COUNTED_BY_KEY = "(SELECT *, '' AS currency FROM counted) AS counted"


def _row(names: Iterable[str], pattern: str) -> str:
    return f"({_names(names, pattern)})"


ZEROS = _row(ALL, "0")

ANEW = f"""
SELECT {_names(KEY)}, {_names(ALL, "COALESCE({0}, 0) AS {0}")}
FROM {COUNTED_BY_KEY} FULL JOIN summed USING ({_names(KEY)})"""

# A day in which no exposure changed keeps its counts; one in which some did is counted again.
MOVED = f"""
SELECT {_names(KEY)},
       {_names(COUNTED, "COALESCE(CASE WHEN recounted.phase_id IS NULL THEN kept.{0} ELSE counted.{0} END, 0) AS {0}")},
       {_names(SUMMED, "COALESCE(kept.{0}, 0) + COALESCE(difference.{0}, 0) AS {0}")}
FROM (SELECT kept.* FROM {TABLE} kept JOIN touched USING (phase_id, cohort_date)) AS kept
FULL JOIN difference USING ({_names(KEY)})
FULL JOIN {COUNTED_BY_KEY} USING ({_names(KEY)})
LEFT JOIN recounted USING (phase_id, cohort_date)
LEFT JOIN closed USING (phase_id, cohort_date)
WHERE closed.phase_id IS NULL"""

WITHOUT_EMPTY = f"SELECT fresh.* FROM ({{fresh}}) AS fresh WHERE {_row(ALL, 'fresh.{}')} <> {ZEROS}"

# Of units that were erased, what they had added stands for their facts.
WITH_ERASED = """
SELECT {keys}, {totals} FROM (
    {own}
    UNION ALL SELECT {keys}, {names} FROM {erased} WHERE {which}
) AS together GROUP BY {keys}"""

STORE = f"""
INSERT INTO {TABLE} AS kept (id, {_names(KEY)}, {_names(ALL)})
SELECT gen_random_uuid(), fresh.* FROM fresh
ON CONFLICT (phase_id, cohort_date, variant_key, segment, currency) DO UPDATE SET {_names(ALL, "{0} = excluded.{0}")}
WHERE {_row(ALL, "kept.{}")} IS DISTINCT FROM {_row(ALL, "excluded.{}")}"""

FORGET_STALE = f"""
DELETE FROM {TABLE} kept USING {{days}} AS day
WHERE kept.phase_id = day.phase_id {{of_day}} AND NOT EXISTS (
    SELECT 1 FROM fresh WHERE {_row(KEY, "fresh.{}")} = {_row(KEY, "kept.{}")})"""

ERASED_OF_DAYS = "(SELECT erased.* FROM erased JOIN {days} USING (phase_id, cohort_date)) AS erased"
OF_CLOSED_DAYS = "(SELECT measured.* FROM measured JOIN closed USING (phase_id, cohort_date)) AS own"


def store_all(bench: Workbench) -> int:
    """Make the phases' rows anew from `measured`; return how many were not right before."""
    count = COUNT.format(spans=f"WITH spans AS ({SPANS})", chosen=ALL_EXPOSURES)
    bench.lay_out("counted", _count_with_erased(bench, count, "erased"))
    bench.run(BY_HASH)
    bench.lay_out("summed", _sum_with_erased(bench, _sum_of(bench, "measured"), "erased"))
    bench.run(AS_BEFORE)
    bench.lay_out("fresh", WITHOUT_EMPTY.format(fresh=ANEW))
    return bench.run(STORE) + bench.run(FORGET_STALE.format(days="phases", of_day=""))


def store_some(bench: Workbench) -> None:
    """Bring the rows of the days in `touched` up to date from `measured`.

    Days in `closed` are made anew; of the others those in `recounted` are counted again, and their sums move by what
    the units in `change` add.
    """
    count = COUNT.format(spans="", chosen=EXPOSURES_OF_DAYS.format(days="recounted"))
    bench.lay_out("counted", _count_with_erased(bench, count, ERASED_OF_DAYS.format(days="recounted")))
    sums = _sum_of(bench, OF_CLOSED_DAYS)
    bench.lay_out("summed", _sum_with_erased(bench, sums, ERASED_OF_DAYS.format(days="closed")))
    bench.lay_out("difference", _sum_of(bench, "change", sign="sign * "))
    anew = f"SELECT anew.* FROM ({ANEW}) AS anew JOIN closed USING (phase_id, cohort_date)"
    bench.lay_out("fresh", WITHOUT_EMPTY.format(fresh=f"{anew} UNION ALL {MOVED}"))
    bench.run(STORE)
    bench.run(FORGET_STALE.format(days="touched", of_day="AND kept.cohort_date = day.cohort_date"))


def lay_out_rows(bench: Workbench, *, units: str) -> None:
    """Leave `added`: what the units of a table add to the rows of their days; `measured` holds those with an order.

    Args:
        bench: where to work.
        units: a table with `phase_id` and `unit`.
    """
    bench.lay_out("counted", COUNT.format(spans="", chosen=EXPOSURES_OF_UNITS.format(units=units)))
    bench.lay_out("summed", _sum_of(bench, "measured"))
    bench.lay_out("added", WITHOUT_EMPTY.format(fresh=ANEW))


def _count_with_erased(bench: Workbench, own: str, erased: str) -> str:
    return _with_erased(bench, own, erased, KEY[:-1], tuple(COUNTED), "currency = ''")


def _sum_with_erased(bench: Workbench, own: str, erased: str) -> str:
    return _with_erased(bench, own, erased, KEY, tuple(SUMMED), "true")


def _with_erased(
    bench: Workbench, own: str, erased: str, keys: tuple[str, ...], names: tuple[str, ...], which: str
) -> str:
    if not bench.has("erased"):
        return own
    return WITH_ERASED.format(
        keys=_names(keys),
        totals=_names(names, "sum({0}) AS {0}"),
        names=_names(names),
        own=own,
        erased=erased,
        which=which,
    )


def _sum_of(bench: Workbench, units: str, sign: str = "") -> str:
    ((are_huge,),) = bench.fetch(ARE_HUGE.format(units=units))
    return SUM.format(units=units, sign=sign, wide="::numeric" if are_huge else "")
