# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""n, sums and cross sums of each metric, read from the rows of the cohort days: what all statistics rest on.

All units of the day that count and are not cut; whether a day is complete is for the reader to say, from its date.
Of the youngest days harm is told by the hour of the exposure too.
A day has a margin only when every cost is known. Units without an order before their exposure are those of the day
less the returning ones.
"""

from __future__ import annotations

from catalog_experiments.aggregation.hourly import IS_HOURLY
from catalog_experiments.aggregation.workbench import Workbench

SUMS = (
    "x",
    "x_squares",
    "revenue",
    "revenue_squares",
    "revenue_x",
    "margin",
    "margin_squares",
    "margin_x",
    "bought",
    "bought_x",
    "took",
    "took_x",
)
"""Columns of the metrics that are told by segment too."""

COHORTS = "catalog_bundle_experiment_cohorts"
OF_DAY = "kept.phase_id = touched.phase_id AND kept.cohort_date = touched.cohort_date"
OF_EXPERIMENT = "kept.experiment_id = phase.experiment_id AND phase.phase_id = touched.phase_id"
KEY = ("phase_id", "variant_key", "cohort_date", "metric", "segment", "currency")
VALUES = ("n", "total", "total_squares", "covariate_total", "covariate_total_squares", "cross_total")


def _list(names: tuple[str, ...], pattern: str = "{}") -> str:
    return ", ".join(pattern.format(name) for name in names)


# A day on which anybody paid in another currency has that row for every variant.
ROWS = f"""
WITH costed AS (
    SELECT phase_id, cohort_date FROM day WHERE segment = '' GROUP BY 1, 2 HAVING sum(uncosted) = 0
), told AS (
    SELECT phase_id, variant_key, cohort_date, segment, uncut AS n, {_list(SUMS)}
    FROM day WHERE currency = '' AND segment <> 'history:returning' AND NOT {IS_HOURLY.format("segment")}
    UNION ALL
    SELECT phase_id, variant_key, cohort_date, segment, known, {_list(SUMS)}
    FROM day WHERE segment = 'history:returning'
    UNION ALL
    SELECT own.phase_id, own.variant_key, own.cohort_date, 'history:new', own.uncut - COALESCE(before.known, 0),
           {_list(SUMS, "own.{0} - COALESCE(before.{0}, 0)")}
    FROM day own
    LEFT JOIN day before ON before.segment = 'history:returning' AND before.phase_id = own.phase_id
        AND before.variant_key = own.variant_key AND before.cohort_date = own.cohort_date
    WHERE own.segment = '' AND own.currency = ''
)
SELECT phase.experiment_id, phase_id, variant_key, cohort_date, metric, segment,
       CASE WHEN is_money THEN phase.currency ELSE '' END AS currency, n, total, total_squares,
       x AS covariate_total, x_squares AS covariate_total_squares, cross_total
FROM told
LEFT JOIN costed USING (phase_id, cohort_date)
JOIN phases phase USING (phase_id)
CROSS JOIN LATERAL (VALUES
    ('conversion', false, true, bought, bought, bought_x),
    ('take_rate', false, true, took, took, took_x),
    ('revenue', true, true, revenue, revenue_squares, revenue_x),
    ('margin', true, costed.phase_id IS NOT NULL, margin, margin_squares, margin_x)
) AS metric(metric, is_money, is_known, total, total_squares, cross_total)
WHERE n > 0 AND is_known AND (phase.currency <> '' OR NOT is_money)
UNION ALL
SELECT phase.experiment_id, phase_id, variant_key, cohort_date, metric, segment,
       CASE WHEN is_money THEN phase.currency ELSE '' END, n, total, total_squares, under, under_squares, cross_total
FROM day
LEFT JOIN costed USING (phase_id, cohort_date)
JOIN phases phase USING (phase_id)
CROSS JOIN LATERAL (VALUES
    ('raw_revenue', false, true, true, uncut, raw_revenue, raw_revenue_squares, 0, 0, 0),
    ('raw_margin', false, true, costed.phase_id IS NOT NULL, uncut, raw_margin, raw_margin_squares, 0, 0, 0),
    ('order_value', false, true, true, uncut, revenue, revenue_squares, own_orders, own_orders_squares,
        revenue_own_orders),
    ('units_per_order', false, false, true, uncut, pieces, pieces_squares, orders, orders_squares, pieces_orders),
    ('cannibalization', false, false, true, uncut, alone, alone_squares, bundled, bundled_squares, alone_bundled),
    ('harm', true, false, true, uncut_day, day_bought, day_bought, 0, 0, 0),
    ('harm_take_rate', true, false, true, uncut_day, day_took, day_took, 0, 0, 0),
    ('harm_revenue', true, true, true, uncut_day, day_revenue, day_revenue_squares, 0, 0, 0)
) AS metric(metric, is_harm, is_money, is_known, n, total, total_squares, under, under_squares, cross_total)
WHERE (segment = '' OR is_harm AND {IS_HOURLY.format("segment")}) AND day.currency = '' AND n > 0 AND is_known
    AND (phase.currency <> '' OR NOT is_money)
UNION ALL
SELECT phase.experiment_id, own.phase_id, own.variant_key, own.cohort_date, 'revenue', '', seen.currency, own.uncut,
       COALESCE(paid.revenue, 0), COALESCE(paid.revenue_squares, 0), 0, 0, 0
FROM (SELECT DISTINCT phase_id, cohort_date, currency FROM day WHERE currency <> '' AND revenue_squares > 0) AS seen
JOIN day own USING (phase_id, cohort_date)
JOIN phases phase ON phase.phase_id = own.phase_id
LEFT JOIN day paid ON paid.phase_id = own.phase_id AND paid.variant_key = own.variant_key
    AND paid.cohort_date = own.cohort_date AND paid.currency = seen.currency
WHERE own.segment = '' AND own.currency = '' AND own.uncut > 0"""

TABLE = "catalog_bundle_experiment_moments"
STORE = f"""
INSERT INTO {TABLE} AS kept (id, experiment_id, {_list(KEY)}, {_list(VALUES)})
SELECT gen_random_uuid(), experiment_id, {_list(KEY)}, {_list(VALUES)} FROM moment_rows
ON CONFLICT (experiment_id, phase_id, cohort_date, variant_key, metric, segment, currency) DO UPDATE SET
    {_list(VALUES, "{0} = excluded.{0}")}
WHERE ({_list(VALUES, "kept.{}")}) IS DISTINCT FROM ({_list(VALUES, "excluded.{}")})"""

# Compared as sets: the planner, which takes the rows of a run for few, would hold each kept row against each of them.
FORGET_STALE = f"""
WITH stale AS MATERIALIZED (
    SELECT kept.experiment_id, {_list(KEY, "kept.{}")}
    FROM touched
    JOIN phases phase ON phase.phase_id = touched.phase_id
    JOIN {TABLE} kept ON {OF_EXPERIMENT} AND {OF_DAY}
    EXCEPT SELECT experiment_id, {_list(KEY)} FROM moment_rows
)
DELETE FROM {TABLE} kept USING stale
WHERE (kept.experiment_id, {_list(KEY, "kept.{}")}) = (stale.experiment_id, {_list(KEY, "stale.{}")})"""


def store_moments(bench: Workbench) -> int:
    """Bring the moments of the cohort days in `touched` in line with their rows; return how many were written."""
    bench.lay_out("day", f"SELECT kept.* FROM touched JOIN {COHORTS} kept ON {OF_DAY}")
    bench.lay_out("moment_rows", ROWS)
    return bench.run(STORE) + bench.run(FORGET_STALE)
