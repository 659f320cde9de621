-- The aggregates of every phase straight from the facts, as one would write them by hand for one pass over each table.
--
-- It reads phases, exposures, orders and outcomes, and leaves three temporary tables: `by_hand_moments` (n and sums per
-- variant, cohort day, metric, segment and currency), `by_hand_tallies` (first eligible orders per variant and hour, net
-- and gross) and `by_hand_counts` (units per variant and cohort day). The benchmark runs it in one transaction, holds
-- its rows against those that the aggregation stored, and its time against the time that took. No phase of its shop
-- judges a drop against the control, so none is told by the hour.

SET LOCAL work_mem = '128MB';

-- What each phase served, from its opening or the end of a pause until the next pause or its end.
CREATE TEMPORARY TABLE served ON COMMIT DROP AS
WITH gap AS (
    SELECT phase.id AS phase_id, gap.place, (gap.edges ->> 0)::timestamptz AS gap_from,
           (gap.edges ->> 1)::timestamptz AS gap_to
    FROM catalog_bundle_experiment_phases phase
    CROSS JOIN LATERAL jsonb_array_elements(phase.unserved_spans) WITH ORDINALITY AS gap(edges, place)
), edge AS (
    SELECT id AS phase_id, 0 AS place, opened_at AS served_from FROM catalog_bundle_experiment_phases
    UNION ALL
    SELECT phase_id, place, gap_to FROM gap WHERE gap_to IS NOT NULL
)
SELECT phase.id AS phase_id, phase.experiment_id, edge.served_from,
       COALESCE(gap.gap_from, phase.closed_at, 'infinity') AS served_to,
       make_interval(hours => 24 * phase.window_days) AS attribution, phase.currency AS own_currency,
       (phase.caps ->> 'revenue')::bigint AS revenue_cap, (phase.caps ->> 'margin')::bigint AS margin_cap,
       phase.segments ? 'device' AS by_device, phase.segments ? 'country' AS by_country
FROM edge
JOIN catalog_bundle_experiment_phases phase ON phase.id = edge.phase_id
LEFT JOIN gap ON gap.phase_id = edge.phase_id AND gap.place = edge.place + 1
WHERE phase.origin <> 'seeded' AND edge.served_from < COALESCE(gap.gap_from, phase.closed_at, 'infinity');

-- The bundle behind each variant, and the pieces that each takes of the products in any variant's bundle.
CREATE TEMPORARY TABLE offered ON COMMIT DROP AS
SELECT phase.id AS phase_id, variant ->> 'key' AS variant_key, bundle.id AS bundle_id
FROM catalog_bundle_experiment_phases phase
CROSS JOIN LATERAL jsonb_array_elements(phase.variants) AS variant
LEFT JOIN catalog_bundles bundle ON bundle.bundle_slug = variant ->> 'bundle_slug';

CREATE TEMPORARY TABLE component ON COMMIT DROP AS
WITH part AS (
    SELECT phase.id AS phase_id, variant ->> 'key' AS variant_key, part ->> 'slug' AS slug,
           sum(COALESCE((part ->> 'quantity')::int, 1)) AS required
    FROM catalog_bundle_experiment_phases phase
    CROSS JOIN LATERAL jsonb_array_elements(phase.variants) AS variant
    CROSS JOIN LATERAL jsonb_array_elements(variant -> 'bundle' -> 'components') AS part
    WHERE jsonb_typeof(variant -> 'bundle') = 'object'
    GROUP BY 1, 2, 3
)
SELECT slot.phase_id, slot.slug, offered.variant_key, COALESCE(part.required, 0) AS required
FROM (SELECT DISTINCT phase_id, slug FROM part) AS slot
JOIN offered USING (phase_id)
LEFT JOIN part USING (phase_id, variant_key, slug);

ANALYZE served, offered, component;

-- Each order of a unit once, with the pieces that stayed with the buyer.
CREATE TEMPORARY TABLE line ON COMMIT DROP AS
SELECT placed.id AS order_id, line.slug, line.quantity - COALESCE(line.returned, 0) AS pieces
FROM catalog_checkout_orders placed
CROSS JOIN LATERAL jsonb_to_recordset(placed.lines) AS line(slug text, quantity int, returned int)
WHERE placed.unit IS NOT NULL AND placed.status IN ('paid', 'confirmed') AND placed.excluded_as IS NULL;

CREATE TEMPORARY TABLE purchase ON COMMIT DROP AS
SELECT placed.id, placed.unit, placed.order_ref, placed.placed_at, placed.status <> 'cancelled' AS is_net,
       placed.currency, placed.revenue_minor - placed.refunded_minor AS revenue,
       placed.margin_minor - placed.refunded_minor AS margin, COALESCE(held.pieces, 0) AS pieces
FROM catalog_checkout_orders placed
LEFT JOIN (SELECT order_id, sum(pieces) AS pieces FROM line GROUP BY 1) AS held ON held.order_id = placed.id
WHERE placed.unit IS NOT NULL AND placed.status IN ('paid', 'confirmed', 'cancelled') AND placed.excluded_as IS NULL;

-- What orders say about the phases that their products belong to.
CREATE TEMPORARY TABLE verdict ON COMMIT DROP AS
SELECT outcome.order_id, offered.phase_id, array_agg(offered.variant_key) FILTER (WHERE outcome.accepted) AS taken
FROM catalog_bundle_order_outcomes outcome
JOIN offered ON offered.bundle_id = outcome.bundle_id
GROUP BY 1, 2;

CREATE TEMPORARY TABLE content ON COMMIT DROP AS
SELECT own.order_id, component.phase_id, component.variant_key, sum(own.pieces) AS pieces,
       sum(LEAST(own.pieces, component.required)) AS in_bundle
FROM (SELECT order_id, slug, sum(pieces) AS pieces FROM line GROUP BY 1, 2) AS own
JOIN component USING (slug)
GROUP BY 1, 2, 3;

ANALYZE purchase, verdict, content;

-- Every order of an exposed unit, from 28 days before its exposure to the end of its window: the one large join.
CREATE TEMPORARY TABLE reached ON COMMIT DROP AS
SELECT exposure.experiment_id, exposure.phase_id, exposure.variant_key, exposure.unit,
       (exposure.exposed_at AT TIME ZONE 'UTC')::date AS cohort_date,
       exposure.exposed_at + served.attribution <= served.served_to AS is_whole,
       exposure.exposed_at + interval '24 hours' <= served.served_to AS is_whole_day,
       CASE WHEN served.by_device THEN exposure.segments ->> 'device' END AS device,
       CASE WHEN served.by_country THEN exposure.segments ->> 'country' END AS country,
       served.revenue_cap, served.margin_cap, purchase.currency = served.own_currency AS is_own, purchase.currency,
       purchase.order_ref, purchase.placed_at, purchase.is_net, purchase.revenue, purchase.margin, purchase.pieces,
       purchase.placed_at < exposure.exposed_at AS is_before,
       purchase.placed_at < exposure.exposed_at + interval '24 hours' AS is_within_a_day,
       purchase.placed_at < served.served_to AS is_served,
       verdict.order_id IS NOT NULL AS is_eligible,
       COALESCE(exposure.variant_key = ANY (verdict.taken), false) AS took,
       content.pieces AS own_pieces, content.in_bundle
FROM catalog_bundle_exposures exposure
JOIN served ON served.phase_id = exposure.phase_id
    AND exposure.exposed_at >= served.served_from AND exposure.exposed_at < served.served_to
JOIN purchase ON purchase.unit = exposure.unit
    AND purchase.placed_at >= exposure.exposed_at - interval '28 days'
    AND purchase.placed_at < exposure.exposed_at + served.attribution
LEFT JOIN verdict ON verdict.order_id = purchase.id AND verdict.phase_id = exposure.phase_id
LEFT JOIN content ON content.order_id = purchase.id AND content.phase_id = exposure.phase_id
    AND content.variant_key = exposure.variant_key
WHERE NOT (exposure.is_mixed OR exposure.is_fault OR exposure.is_merged OR exposure.is_holdout)
  AND exposure.excluded_as IS NULL;

-- What each of these units did; a margin is unknown when a cost is.
CREATE TEMPORARY TABLE person ON COMMIT DROP AS
WITH summed AS (
    SELECT phase_id, variant_key, cohort_date, unit, is_whole, is_whole_day, device, country, revenue_cap, margin_cap,
           bool_or(is_before) AS has_history,
           bool_or(NOT is_before) AS bought,
           bool_or(NOT is_before AND took) AS took,
           bool_or(NOT is_before AND is_within_a_day) AS bought_in_a_day,
           bool_or(NOT is_before AND is_within_a_day AND took) AS took_in_a_day,
           COALESCE(sum(revenue) FILTER (WHERE is_before AND is_own), 0)::numeric AS before,
           COALESCE(sum(revenue) FILTER (WHERE NOT is_before AND is_own), 0)::numeric AS revenue,
           COALESCE(sum(revenue) FILTER (WHERE NOT is_before AND is_own AND is_within_a_day), 0)::numeric AS day_revenue,
           COALESCE(sum(margin) FILTER (WHERE NOT is_before AND is_own), 0)::numeric AS margin,
           COALESCE(bool_and(margin IS NOT NULL) FILTER (WHERE NOT is_before AND is_own), true) AS is_margin_known,
           count(*) FILTER (WHERE NOT is_before AND is_own) AS own_orders,
           count(*) FILTER (WHERE NOT is_before) AS orders,
           COALESCE(sum(pieces) FILTER (WHERE NOT is_before), 0)::bigint AS pieces,
           COALESCE(sum(in_bundle) FILTER (WHERE NOT is_before AND took), 0)::bigint AS bundled,
           COALESCE(sum(own_pieces) FILTER (WHERE NOT is_before), 0)::bigint AS own_pieces
    FROM reached
    WHERE is_net
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
)
SELECT phase_id, variant_key, cohort_date, is_whole, is_whole_day, device, country, has_history,
       bought::int AS bought, took::int AS took, bought_in_a_day::int AS bought_in_a_day,
       took_in_a_day::int AS took_in_a_day, LEAST(before, revenue_cap) AS x, revenue AS raw_revenue,
       LEAST(revenue, revenue_cap) AS revenue, LEAST(day_revenue, revenue_cap) AS day_revenue, margin AS raw_margin,
       LEAST(margin, margin_cap) AS margin, is_margin_known, own_orders, orders, pieces, bundled,
       own_pieces - bundled AS alone
FROM summed;

-- How many units met each variant on each day; those left out of everything are counted apart.
CREATE TEMPORARY TABLE size ON COMMIT DROP AS
SELECT exposure.experiment_id, exposure.phase_id, exposure.variant_key,
       (exposure.exposed_at AT TIME ZONE 'UTC')::date AS cohort_date, served.own_currency,
       CASE WHEN served.by_device THEN exposure.segments ->> 'device' END AS device,
       CASE WHEN served.by_country THEN exposure.segments ->> 'country' END AS country,
       count(*) FILTER (WHERE counts) AS exposed,
       count(*) FILTER (WHERE counts AND exposure.exposed_at + served.attribution <= served.served_to) AS n,
       count(*) FILTER (WHERE counts AND exposure.exposed_at + interval '24 hours' <= served.served_to) AS day_n,
       count(*) FILTER (WHERE is_mixed AND NOT is_holdout) AS mixed,
       count(*) FILTER (WHERE is_fault AND NOT is_holdout) AS faulty,
       count(*) FILTER (WHERE is_merged AND NOT is_holdout) AS merged,
       count(*) FILTER (WHERE is_holdout) AS holdout
FROM catalog_bundle_exposures exposure
JOIN served ON served.phase_id = exposure.phase_id
    AND exposure.exposed_at >= served.served_from AND exposure.exposed_at < served.served_to
CROSS JOIN LATERAL (SELECT NOT (is_mixed OR is_fault OR is_merged OR is_holdout) AS counts) AS kept
WHERE exposure.excluded_as IS NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7;

CREATE TEMPORARY TABLE by_hand_counts ON COMMIT DROP AS
SELECT phase_id, variant_key, cohort_date, sum(exposed)::bigint AS exposed, sum(mixed)::bigint AS mixed,
       sum(faulty)::bigint AS faulty, sum(merged)::bigint AS merged, sum(holdout)::bigint AS holdout,
       sum(exposed - n)::bigint AS cut
FROM size GROUP BY 1, 2, 3;

-- Sums of the finest cells: variant, cohort day, device, country and history; they add up to every segment.
CREATE TEMPORARY TABLE cell ON COMMIT DROP AS
SELECT phase_id, variant_key, cohort_date, device, country, has_history,
       count(*) FILTER (WHERE is_whole) AS n,
       bool_and(is_margin_known OR NOT is_whole) AS is_margin_known,
       COALESCE(sum(x) FILTER (WHERE is_whole), 0) AS x,
       COALESCE(sum(x * x) FILTER (WHERE is_whole), 0) AS xx,
       COALESCE(sum(revenue) FILTER (WHERE is_whole), 0) AS revenue,
       COALESCE(sum(revenue * revenue) FILTER (WHERE is_whole), 0) AS revenue_squares,
       COALESCE(sum(revenue * x) FILTER (WHERE is_whole), 0) AS revenue_x,
       COALESCE(sum(raw_revenue) FILTER (WHERE is_whole), 0) AS raw_revenue,
       COALESCE(sum(raw_revenue * raw_revenue) FILTER (WHERE is_whole), 0) AS raw_revenue_squares,
       COALESCE(sum(margin) FILTER (WHERE is_whole), 0) AS margin,
       COALESCE(sum(margin * margin) FILTER (WHERE is_whole), 0) AS margin_squares,
       COALESCE(sum(margin * x) FILTER (WHERE is_whole), 0) AS margin_x,
       COALESCE(sum(raw_margin) FILTER (WHERE is_whole), 0) AS raw_margin,
       COALESCE(sum(raw_margin * raw_margin) FILTER (WHERE is_whole), 0) AS raw_margin_squares,
       COALESCE(sum(bought) FILTER (WHERE is_whole), 0)::numeric AS bought,
       COALESCE(sum(bought * x) FILTER (WHERE is_whole), 0) AS bought_x,
       COALESCE(sum(took) FILTER (WHERE is_whole), 0)::numeric AS took,
       COALESCE(sum(took * x) FILTER (WHERE is_whole), 0) AS took_x,
       COALESCE(sum(own_orders) FILTER (WHERE is_whole), 0) AS own_orders,
       COALESCE(sum(own_orders * own_orders) FILTER (WHERE is_whole), 0) AS own_orders_squares,
       COALESCE(sum(revenue * own_orders) FILTER (WHERE is_whole), 0) AS revenue_own_orders,
       COALESCE(sum(orders) FILTER (WHERE is_whole), 0) AS orders,
       COALESCE(sum(orders * orders) FILTER (WHERE is_whole), 0) AS orders_squares,
       COALESCE(sum(pieces) FILTER (WHERE is_whole), 0) AS pieces,
       COALESCE(sum(pieces * pieces) FILTER (WHERE is_whole), 0) AS pieces_squares,
       COALESCE(sum(pieces * orders) FILTER (WHERE is_whole), 0) AS pieces_orders,
       COALESCE(sum(alone) FILTER (WHERE is_whole), 0) AS alone,
       COALESCE(sum(alone * alone) FILTER (WHERE is_whole), 0) AS alone_squares,
       COALESCE(sum(bundled) FILTER (WHERE is_whole), 0) AS bundled,
       COALESCE(sum(bundled * bundled) FILTER (WHERE is_whole), 0) AS bundled_squares,
       COALESCE(sum(alone * bundled) FILTER (WHERE is_whole), 0) AS alone_bundled,
       COALESCE(sum(bought_in_a_day) FILTER (WHERE is_whole_day), 0)::numeric AS day_bought,
       COALESCE(sum(took_in_a_day) FILTER (WHERE is_whole_day), 0)::numeric AS day_took,
       COALESCE(sum(day_revenue) FILTER (WHERE is_whole_day), 0) AS day_revenue,
       COALESCE(sum(day_revenue * day_revenue) FILTER (WHERE is_whole_day), 0) AS day_revenue_squares
FROM person
GROUP BY 1, 2, 3, 4, 5, 6;

ANALYZE size, cell;

-- Revenue in a currency that is not the phase's: uncapped, counted apart.
CREATE TEMPORARY TABLE foreign_money ON COMMIT DROP AS
SELECT phase_id, variant_key, cohort_date, currency, sum(revenue) AS revenue, sum(revenue * revenue) AS revenue_squares
FROM (
    SELECT phase_id, variant_key, cohort_date, unit, currency, sum(revenue)::numeric AS revenue
    FROM reached
    WHERE is_net AND is_whole AND NOT is_own AND NOT is_before
    GROUP BY 1, 2, 3, 4, 5
) AS spent
GROUP BY 1, 2, 3, 4;

ANALYZE foreign_money;

CREATE TEMPORARY TABLE by_hand_moments ON COMMIT DROP AS
WITH part AS (
    SELECT segment, cell.*
    FROM cell
    CROSS JOIN LATERAL (VALUES
        (''), ('device:' || device), ('country:' || country),
        (CASE WHEN has_history THEN 'history:returning' ELSE 'history:new' END)
    ) AS own(segment)
    WHERE segment IS NOT NULL
), summed AS (
    SELECT phase_id, variant_key, cohort_date, segment, sum(n) AS n, sum(x) AS x, sum(xx) AS xx,
           sum(revenue) AS revenue, sum(revenue_squares) AS revenue_squares, sum(revenue_x) AS revenue_x,
           sum(raw_revenue) AS raw_revenue, sum(raw_revenue_squares) AS raw_revenue_squares,
           sum(margin) AS margin, sum(margin_squares) AS margin_squares, sum(margin_x) AS margin_x,
           sum(raw_margin) AS raw_margin, sum(raw_margin_squares) AS raw_margin_squares,
           sum(bought) AS bought, sum(bought_x) AS bought_x, sum(took) AS took, sum(took_x) AS took_x,
           sum(own_orders) AS own_orders, sum(own_orders_squares) AS own_orders_squares,
           sum(revenue_own_orders) AS revenue_own_orders, sum(orders) AS orders, sum(orders_squares) AS orders_squares,
           sum(pieces) AS pieces, sum(pieces_squares) AS pieces_squares, sum(pieces_orders) AS pieces_orders,
           sum(alone) AS alone, sum(alone_squares) AS alone_squares, sum(bundled) AS bundled,
           sum(bundled_squares) AS bundled_squares, sum(alone_bundled) AS alone_bundled,
           sum(day_bought) AS day_bought, sum(day_took) AS day_took, sum(day_revenue) AS day_revenue,
           sum(day_revenue_squares) AS day_revenue_squares
    FROM part
    GROUP BY 1, 2, 3, 4
), head AS (
    SELECT experiment_id, phase_id, variant_key, cohort_date, own_currency, segment, sum(n)::bigint AS n,
           sum(day_n)::bigint AS day_n
    FROM size
    CROSS JOIN LATERAL (VALUES (''), ('device:' || device), ('country:' || country)) AS own(segment)
    WHERE segment IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
), sized AS (
    SELECT * FROM head
    UNION ALL
    -- Who has no order at all, before or after, is new and is in no sum: the rest of the day's units.
    SELECT head.experiment_id, head.phase_id, head.variant_key, head.cohort_date, head.own_currency, own.segment,
           CASE own.segment WHEN 'history:returning' THEN COALESCE(known.n, 0)
               ELSE head.n - COALESCE(known.n, 0) END::bigint, 0::bigint
    FROM head
    LEFT JOIN summed known ON known.phase_id = head.phase_id AND known.variant_key = head.variant_key
        AND known.cohort_date = head.cohort_date AND known.segment = 'history:returning'
    CROSS JOIN (VALUES ('history:returning'), ('history:new')) AS own(segment)
    WHERE head.segment = ''
), costed AS (
    SELECT phase_id, cohort_date, bool_and(is_margin_known) AS is_margin_known FROM cell GROUP BY 1, 2
), full_row AS (
    SELECT sized.experiment_id, sized.own_currency, sized.n AS units, sized.day_n AS day_units,
           COALESCE(costed.is_margin_known, true) AS is_margin_known, sized.phase_id, sized.variant_key,
           sized.cohort_date, sized.segment, summed.x, summed.xx, summed.revenue, summed.revenue_squares,
           summed.revenue_x, summed.raw_revenue, summed.raw_revenue_squares, summed.margin, summed.margin_squares,
           summed.margin_x, summed.raw_margin, summed.raw_margin_squares, summed.bought, summed.bought_x, summed.took,
           summed.took_x, summed.own_orders, summed.own_orders_squares, summed.revenue_own_orders, summed.orders,
           summed.orders_squares, summed.pieces, summed.pieces_squares, summed.pieces_orders, summed.alone,
           summed.alone_squares, summed.bundled, summed.bundled_squares, summed.alone_bundled, summed.day_bought,
           summed.day_took, summed.day_revenue, summed.day_revenue_squares
    FROM sized
    LEFT JOIN summed USING (phase_id, variant_key, cohort_date, segment)
    LEFT JOIN costed USING (phase_id, cohort_date)
)
SELECT experiment_id, phase_id, variant_key, cohort_date, metric, segment, currency, n, COALESCE(total, 0) AS total,
       COALESCE(total_squares, 0) AS total_squares, COALESCE(covariate_total, 0) AS covariate_total,
       COALESCE(covariate_total_squares, 0) AS covariate_total_squares, COALESCE(cross_total, 0) AS cross_total
FROM full_row
CROSS JOIN LATERAL (VALUES
    ('revenue', own_currency, own_currency <> '', units, revenue, revenue_squares, x, xx, revenue_x),
    ('margin', own_currency, own_currency <> '' AND is_margin_known, units, margin, margin_squares, x, xx, margin_x),
    ('conversion', '', true, units, bought, bought, x, xx, bought_x),
    ('take_rate', '', true, units, took, took, x, xx, took_x),
    ('raw_revenue', own_currency, own_currency <> '' AND segment = '', units, raw_revenue, raw_revenue_squares,
        0, 0, 0),
    ('raw_margin', own_currency, own_currency <> '' AND segment = '' AND is_margin_known, units, raw_margin,
        raw_margin_squares, 0, 0, 0),
    ('order_value', own_currency, own_currency <> '' AND segment = '', units, revenue, revenue_squares, own_orders,
        own_orders_squares, revenue_own_orders),
    ('units_per_order', '', segment = '', units, pieces, pieces_squares, orders, orders_squares, pieces_orders),
    ('cannibalization', '', segment = '', units, alone, alone_squares, bundled, bundled_squares, alone_bundled),
    ('harm', '', segment = '', day_units, day_bought, day_bought, 0, 0, 0),
    ('harm_take_rate', '', segment = '', day_units, day_took, day_took, 0, 0, 0),
    ('harm_revenue', own_currency, own_currency <> '' AND segment = '', day_units, day_revenue, day_revenue_squares,
        0, 0, 0)
) AS told(metric, currency, is_told, n, total, total_squares, covariate_total, covariate_total_squares, cross_total)
WHERE is_told AND n > 0
UNION ALL
-- A day on which anybody paid in another currency has that row for every variant.
SELECT full_row.experiment_id, phase_id, variant_key, cohort_date, 'revenue', '', seen.currency, full_row.units,
       COALESCE(own.revenue, 0), COALESCE(own.revenue_squares, 0), 0, 0, 0
FROM full_row
JOIN (SELECT DISTINCT phase_id, cohort_date, currency FROM foreign_money WHERE revenue_squares > 0) AS seen
    USING (phase_id, cohort_date)
LEFT JOIN foreign_money own USING (phase_id, variant_key, cohort_date, currency)
WHERE full_row.segment = '' AND full_row.units > 0;

-- The first eligible order of each unit, once as things are now and once as if nothing had been cancelled.
CREATE TEMPORARY TABLE by_hand_tallies ON COMMIT DROP AS
WITH eligible AS (
    SELECT phase_id, unit, variant_key, placed_at, order_ref COLLATE "C" AS order_ref, is_net, took
    FROM reached
    WHERE is_eligible AND is_served AND NOT is_before
), first AS (
    (SELECT DISTINCT ON (phase_id, unit) phase_id, variant_key, placed_at, took, 1 AS net, 0 AS gross
     FROM eligible WHERE is_net ORDER BY phase_id, unit, placed_at, order_ref)
    UNION ALL
    (SELECT DISTINCT ON (phase_id, unit) phase_id, variant_key, placed_at, took, 0, 1
     FROM eligible ORDER BY phase_id, unit, placed_at, order_ref)
)
SELECT phase_id, variant_key, date_trunc('hour', placed_at, 'UTC') AS outcome_hour_at, sum(net) AS n,
       sum(net * took::int) AS accepted, sum(gross) AS gross_n, sum(gross * took::int) AS gross_accepted
FROM first
GROUP BY 1, 2, 3;

-- How often each bundle was taken by the orders that could take it, over the last thirty days.
CREATE TEMPORARY TABLE by_hand_acceptance ON COMMIT DROP AS
SELECT outcome.bundle_id, count(*) AS sample_size, count(*) FILTER (WHERE outcome.accepted) AS acceptance_count,
       max(placed.placed_at) FILTER (WHERE outcome.accepted) AS last_accepted_at
FROM catalog_checkout_orders placed
JOIN catalog_bundle_order_outcomes outcome ON outcome.order_id = placed.id
WHERE placed.placed_at >= %(now)s - interval '30 days' AND placed.placed_at <= %(now)s
  AND placed.status IN ('paid', 'confirmed') AND placed.excluded_as IS NULL
GROUP BY outcome.bundle_id;
