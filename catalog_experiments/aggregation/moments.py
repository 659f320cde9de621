# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""n, sum and sum of squares of each metric over the units first exposed on one UTC day.

All units of the day that count and are not cut; whether a day is complete is for the reader to say, from its date.
Money is net of refunds, capped per unit in the phase's own currency; a day has a margin only when every cost is known.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import orjson

from catalog_experiments.aggregation import cursors
from catalog_experiments.aggregation.cursors import Watermark
from catalog_experiments.aggregation.scope import (
    ELIGIBLE,
    EXPOSURE_OF_UNIT,
    EXPOSURES_OF_SPAN,
    EXPOSURES_RECORDED_SINCE,
    NEWS,
    OFFERED,
    SPANS,
    Scope,
    fetch,
    without_nested_loops,
)
from catalog_experiments.models import AggregationCursor, Phase

DAY = "(exposure.exposed_at AT TIME ZONE 'UTC')::date"
HARM_WINDOW = "interval '24 hours'"

# An exposure that came earlier than known left a later day: every counted day after the first changed one is suspect.
FIND_TOUCHED = f"""
WITH {SPANS},{NEWS},
met AS MATERIALIZED (
    SELECT DISTINCT span.phase_id, {DAY} AS cohort_date
    FROM spans span
    JOIN {EXPOSURES_RECORDED_SINCE}
)
SELECT phase_id, cohort_date FROM met
UNION
SELECT kept.phase_id, kept.cohort_date
FROM catalog_bundle_experiment_moments kept
JOIN (SELECT phase_id, min(cohort_date) AS first_date FROM met GROUP BY phase_id) AS changed
    ON changed.phase_id = kept.phase_id AND kept.cohort_date > changed.first_date
UNION
SELECT span.phase_id, {DAY}
FROM news
JOIN spans span ON news.revised_at >= span.since
    AND news.placed_at >= span.served_from AND news.placed_at < span.served_to
CROSS JOIN {EXPOSURE_OF_UNIT.format(unit="news.unit")}
WHERE news.placed_at >= exposure.exposed_at AND news.placed_at < exposure.exposed_at + span.attribution
"""

TOUCHED = """
touched AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(touched)s::jsonb) AS day(phase_id uuid, cohort_date date)
)"""
ONLY_TOUCHED = f"JOIN touched ON touched.phase_id = span.phase_id AND touched.cohort_date = {DAY}"

# Read twice, for the size of a cohort and for its purchases: cheaper than to keep millions of units in between.
MEMBERS = f"""
members AS NOT MATERIALIZED (
    SELECT exposure.experiment_id, exposure.phase_id, exposure.variant_key, exposure.unit, exposure.exposed_at,
           {DAY} AS cohort_date, exposure.exposed_at + span.attribution AS window_end,
           exposure.exposed_at + span.attribution <= span.served_to AS is_whole,
           exposure.exposed_at + {HARM_WINDOW} <= span.served_to AS is_whole_day,
           span.currency AS own_currency, span.revenue_cap, span.margin_cap
    FROM spans span
    JOIN {EXPOSURES_OF_SPAN}
    {{only}}
)"""

SUMMED = f"""
purchases AS MATERIALIZED (
    SELECT member.phase_id, member.unit, placed.currency, member.variant_key, member.cohort_date, member.is_whole,
           member.is_whole_day, member.own_currency, member.revenue_cap, member.margin_cap,
           bool_or(placed.placed_at < member.exposed_at + {HARM_WINDOW}) AS bought_in_a_day,
           bool_or(COALESCE(outcome.accepted, false)) AS took,
           sum(placed.revenue_minor - placed.refunded_minor) AS revenue,
           sum(placed.margin_minor - placed.refunded_minor) AS margin,
           bool_and(placed.margin_minor IS NOT NULL) AS is_margin_known
    FROM members member
    JOIN catalog_checkout_orders placed ON placed.unit = member.unit AND placed.status IN {ELIGIBLE}
        AND placed.placed_at >= member.exposed_at AND placed.placed_at < member.window_end
        AND placed.placed_at >= %(first_at)s::timestamptz AND placed.placed_at < %(orders_to)s::timestamptz
    LEFT JOIN offered offer ON offer.phase_id = member.phase_id AND offer.variant_key = member.variant_key
    LEFT JOIN catalog_bundle_order_outcomes outcome
        ON outcome.order_id = placed.id AND outcome.bundle_id = offer.bundle_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
),
buyers AS (
    SELECT phase_id, variant_key, cohort_date, unit, is_whole, is_whole_day,
           bool_or(bought_in_a_day) AS bought_in_a_day, bool_or(took) AS took
    FROM purchases GROUP BY 1, 2, 3, 4, 5, 6
),
successes AS (
    SELECT phase_id, variant_key, cohort_date,
           count(*) FILTER (WHERE is_whole) AS bought,
           count(*) FILTER (WHERE is_whole AND took) AS took,
           count(*) FILTER (WHERE is_whole_day AND bought_in_a_day) AS bought_in_a_day
    FROM buyers GROUP BY 1, 2, 3
),
sizes AS (
    SELECT experiment_id, phase_id, variant_key, cohort_date, own_currency,
           count(*) FILTER (WHERE is_whole) AS n, count(*) FILTER (WHERE is_whole_day) AS n_of_a_day
    FROM members GROUP BY 1, 2, 3, 4, 5
),
counts AS MATERIALIZED (
    SELECT experiment_id, phase_id, variant_key, cohort_date, own_currency, n, n_of_a_day,
           COALESCE(bought, 0) AS bought, COALESCE(took, 0) AS took, COALESCE(bought_in_a_day, 0) AS bought_in_a_day
    FROM sizes LEFT JOIN successes USING (phase_id, variant_key, cohort_date)
),
spent AS (
    SELECT phase_id, variant_key, cohort_date, currency, is_margin_known,
           CASE WHEN currency = own_currency THEN LEAST(revenue, revenue_cap) ELSE revenue END::numeric AS revenue,
           LEAST(margin, margin_cap)::numeric AS margin
    FROM purchases WHERE is_whole
),
money AS MATERIALIZED (
    SELECT phase_id, variant_key, cohort_date, currency, bool_and(is_margin_known) AS is_margin_known,
           sum(revenue) AS revenue, sum(revenue * revenue) AS revenue_squares,
           sum(margin) AS margin, sum(margin * margin) AS margin_squares
    FROM spent GROUP BY 1, 2, 3, 4
),
currencies AS (
    SELECT phase_id, cohort_date, currency, bool_and(is_margin_known) AS is_margin_known, bool_or(is_told) AS is_told
    FROM (
        SELECT phase_id, cohort_date, currency, is_margin_known, revenue_squares > 0 AS is_told FROM money
        UNION ALL
        SELECT phase_id, cohort_date, own_currency, true, true FROM counts WHERE own_currency <> ''
    ) AS named
    GROUP BY 1, 2, 3
),
cells AS MATERIALIZED (
    SELECT experiment_id, phase_id, variant_key, cohort_date, rate.metric, '' AS currency, rate.n,
           rate.total::numeric AS total, rate.total::numeric AS total_squares
    FROM counts CROSS JOIN LATERAL (VALUES
        ('conversion', n, bought), ('take_rate', n, took), ('harm', n_of_a_day, bought_in_a_day)
    ) AS rate(metric, n, total)
    WHERE rate.n > 0
    UNION ALL
    SELECT counts.experiment_id, counts.phase_id, counts.variant_key, counts.cohort_date, amount.metric,
           currencies.currency, counts.n, COALESCE(amount.total, 0), COALESCE(amount.total_squares, 0)
    FROM counts
    JOIN currencies USING (phase_id, cohort_date)
    LEFT JOIN money ON money.phase_id = counts.phase_id AND money.variant_key = counts.variant_key
        AND money.cohort_date = counts.cohort_date AND money.currency = currencies.currency
    CROSS JOIN LATERAL (VALUES
        ('revenue', money.revenue, money.revenue_squares, currencies.is_told),
        ('margin', money.margin, money.margin_squares,
            currencies.is_margin_known AND currencies.currency = counts.own_currency)
    ) AS amount(metric, total, total_squares, is_told)
    WHERE counts.n > 0 AND amount.is_told
)"""


STORE = """
stored AS (
    INSERT INTO catalog_bundle_experiment_moments AS kept (
        id, experiment_id, phase_id, variant_key, cohort_date, metric, segment, currency, n, total, total_squares,
        covariate_total, covariate_total_squares, cross_total)
    SELECT gen_random_uuid(), experiment_id, phase_id, variant_key, cohort_date, metric, '', currency, n,
           total, total_squares, 0, 0, 0
    FROM cells
    ON CONFLICT (experiment_id, phase_id, variant_key, cohort_date, metric, segment, currency) DO UPDATE SET
        n = excluded.n, total = excluded.total, total_squares = excluded.total_squares
    WHERE (kept.n, kept.total, kept.total_squares)
        IS DISTINCT FROM (excluded.n, excluded.total, excluded.total_squares)
),
emptied AS (
    DELETE FROM catalog_bundle_experiment_moments kept
    WHERE kept.segment = '' AND kept.phase_id = ANY(%(phases)s) {only} AND NOT EXISTS (
        SELECT 1 FROM cells WHERE cells.phase_id = kept.phase_id AND cells.variant_key = kept.variant_key
            AND cells.cohort_date = kept.cohort_date AND cells.metric = kept.metric
            AND cells.currency = kept.currency)
)
SELECT count(DISTINCT (phase_id, cohort_date)) FROM cells"""

SUM_WHOLE = f"WITH {SPANS},{OFFERED},{MEMBERS.format(only='')},{SUMMED},{STORE.format(only='')}"
SUM_TOUCHED = f"WITH {SPANS},{OFFERED},{TOUCHED},{MEMBERS.format(only=ONLY_TOUCHED)},{SUMMED}," + STORE.format(
    only="AND (kept.phase_id, kept.cohort_date) IN (SELECT phase_id, cohort_date FROM touched)"
)


def update_moments(phases: list[Phase], watermark: Watermark) -> int:
    """Bring the moments of the phases up to the watermark and return how many cohort days were summed.

    Call it inside a transaction. Only days that changed facts, or changed spans of serving, can have moved are summed
    again, each exactly.
    """
    scope = cursors.claim(phases, AggregationCursor.Product.MOMENTS)
    whole, known = scope.split()
    summed = _sum_whole(whole) + _sum_touched(known)
    cursors.advance(scope, AggregationCursor.Product.MOMENTS, watermark)
    return summed


def _sum_whole(scope: Scope) -> int:
    if not scope.phases:
        return 0
    with without_nested_loops():
        return int(fetch(SUM_WHOLE, scope.parameters())[0][0])


def _sum_touched(scope: Scope) -> int:
    if not scope.phases:
        return 0
    parameters = scope.parameters()
    touched = fetch(FIND_TOUCHED, parameters)
    if not touched:
        return 0
    days = [day for _, day in touched]
    parameters["first_at"] = datetime.combine(min(days), time(), UTC)
    parameters["last_at"] = datetime.combine(max(days) + timedelta(days=1), time(), UTC)
    parameters["orders_to"] = parameters["last_at"] + timedelta(days=max(phase.window_days for phase in scope.phases))
    parameters["touched"] = orjson.dumps([{"phase_id": key, "cohort_date": day} for key, day in touched]).decode()
    with without_nested_loops():
        return int(fetch(SUM_TOUCHED, parameters)[0][0])
