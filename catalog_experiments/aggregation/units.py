# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""What each exposed unit did, before its exposure and in its window: one row per unit with an order, all at once.

The one place where exposures meet orders; `persons` says which orders are a unit's under other ids. Sums, tallies and
open units are read from the table `measured` it leaves.
"""

from __future__ import annotations

from catalog_experiments.aggregation.persons import ORDERS_OF_OTHERS, lay_out_persons
from catalog_experiments.aggregation.scope import COUNTS, DAY, ELIGIBLE, HISTORY, HOUR, unguessed
from catalog_experiments.aggregation.workbench import Workbench

COLUMNS = (
    "phase_id",
    "unit",
    "variant_key",
    "cohort_date",
    "cohort_hour",
    "is_uncut",
    "is_uncut_day",
    "device",
    "country",
    "is_returning",
    "is_revised",
    "is_costed",
    "x",
    "revenue",
    "raw_revenue",
    "day_revenue",
    "margin",
    "raw_margin",
    "bought",
    "took",
    "day_bought",
    "day_took",
    "own_orders",
    "orders",
    "pieces",
    "alone",
    "bundled",
    "foreign_revenue",
    "net_at",
    "net_accepted",
    "gross_at",
    "gross_accepted",
    "first_at",
    "revisions",
)
"""Those of `measured`, and of the open units."""

UNCUT = "exposure.exposed_at + span.attribution <= span.served_to"
UNCUT_DAY = "exposure.exposed_at + interval '24 hours' <= span.served_to"
DEVICE = "CASE WHEN span.by_device THEN exposure.segments ->> 'device' END"
COUNTRY = "CASE WHEN span.by_country THEN exposure.segments ->> 'country' END"

IS_SERVED = unguessed("exposure.exposed_at >= span.served_from AND exposure.exposed_at < span.served_to")

# A unit that left stays with what its leaving revised: an outcome that was known until then. It adds nothing else.
IS_HERE = "exposure.left_at IS NULL"

MET = f"""
SELECT span.phase_id, exposure.unit, exposure.variant_key, exposure.exposed_at, {DAY} AS cohort_date,
       exposure.exposed_at + span.attribution AS window_end, span.served_to,
       {UNCUT} AND {IS_HERE} AS is_uncut, {UNCUT_DAY} AND {IS_HERE} AS is_uncut_day,
       {DEVICE} AS device, {COUNTRY} AS country, CASE WHEN span.by_hour THEN {HOUR} END AS cohort_hour,
       span.currency AS own_currency, span.revenue_cap, span.margin_cap, exposure.left_at
FROM {{chosen}}
WHERE ({COUNTS} OR exposure.left_at IS NOT NULL) AND {IS_SERVED}"""

ALL_EXPOSURES = """spans span
JOIN catalog_bundle_exposures exposure ON exposure.phase_id = span.phase_id
    AND exposure.retention_month = ANY(%(months)s) AND (%(are_many)s OR exposure.phase_id = ANY(%(ids)s))"""

# By the key of the table, unit by unit: `OFFSET 0` keeps each look-up behind the unit it is for.
EXPOSURES_OF_UNITS = """{units} AS chosen
JOIN spans span ON span.phase_id = chosen.phase_id
CROSS JOIN LATERAL (
    SELECT * FROM catalog_bundle_exposures kept
    WHERE kept.retention_month = span.month AND kept.experiment_id = span.experiment_id
        AND kept.phase_id = span.phase_id AND kept.unit = chosen.unit OFFSET 0
) AS exposure"""

EXPOSURES_OF_DAYS = """{days} AS chosen
JOIN spans span ON span.phase_id = chosen.phase_id
CROSS JOIN LATERAL (
    SELECT * FROM catalog_bundle_exposures kept
    WHERE kept.retention_month = span.month AND kept.phase_id = chosen.phase_id
        AND kept.exposed_at >= chosen.cohort_date::timestamp AT TIME ZONE 'UTC'
        AND kept.exposed_at < (chosen.cohort_date + 1)::timestamp AT TIME ZONE 'UTC' OFFSET 0
) AS exposure"""

# `turn` puts the orders in the order in which the first of a unit is found. A returned piece is no piece.
PLACED = f"""
SELECT placed.id, placed.unit, placed.placed_at, placed.recorded_at, placed.currency,
       placed.status <> 'cancelled' AS is_net,
       placed.revenue_minor - placed.refunded_minor AS revenue, placed.margin_minor - placed.refunded_minor AS margin,
       placed.revised_at > placed.recorded_at
           AND (placed.status = 'cancelled' OR placed.refunded_minor > 0 OR line.returned > 0) AS is_revised,
       placed.is_withdrawn, placed.cancelled_at, line.pieces,
       row_number() OVER (ORDER BY placed.placed_at, placed.order_ref COLLATE "C") AS turn
FROM {{orders}}
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(quantity - COALESCE(returned, 0)), 0) AS pieces, COALESCE(sum(returned), 0) AS returned
    FROM jsonb_to_recordset(placed.lines) AS line(quantity bigint, returned bigint)
) AS line
WHERE placed.unit IS NOT NULL AND placed.status IN ('paid', 'confirmed', 'cancelled') AND placed.excluded_as IS NULL
    AND placed.placed_at >= %(first_at)s::timestamptz - {HISTORY}"""

ALL_ORDERS = "catalog_checkout_orders placed"
ORDERS_OF_MET = """(
    SELECT unit, min(exposed_at) AS first_at, max(window_end) AS last_at FROM {met} GROUP BY unit
) AS known
CROSS JOIN LATERAL (
    SELECT * FROM catalog_checkout_orders kept WHERE kept.unit = known.unit
        AND kept.placed_at >= known.first_at - interval '28 days' AND kept.placed_at < known.last_at OFFSET 0
) AS placed"""

# Orders under the other ids of a person are looked for as long as those of the unit they count for.
MET_WITH_OTHERS = """(
    SELECT unit, exposed_at, window_end FROM met
    UNION ALL
    SELECT persons.other, met.exposed_at, met.window_end FROM met JOIN persons USING (phase_id, unit)
) AS met"""

# The orders' own rows are read again for their lines: to carry them along would cost more.
PLACED_AGAIN = """placed known
CROSS JOIN LATERAL (SELECT * FROM catalog_checkout_orders kept WHERE kept.id = known.id OFFSET 0) AS placed"""
OUTCOMES_OF_PLACED = """placed
CROSS JOIN LATERAL (
    SELECT * FROM catalog_bundle_order_outcomes kept WHERE kept.order_id = placed.id OFFSET 0
) AS outcome"""

# An order is eligible for a phase whose anchor product it holds: then it says something about the bundles there.
VERDICTS = """
SELECT outcome.order_id, offer.phase_id, array_agg(offer.variant_key) FILTER (WHERE outcome.accepted) AS takers,
       array_agg(offer.variant_key) FILTER (WHERE outcome.is_withdrawn) AS former_takers
FROM {outcomes}
JOIN offered offer ON offer.bundle_id = outcome.bundle_id
WHERE %(are_many)s OR outcome.bundle_id = ANY(%(bundles)s)
GROUP BY 1, 2"""

LINES = f"""
SELECT placed.id AS order_id, line.slug, line.pieces
FROM {{orders}}
CROSS JOIN LATERAL (
    SELECT slug, sum(quantity - COALESCE(returned, 0))::bigint AS pieces
    FROM jsonb_to_recordset(placed.lines) AS line(slug text, quantity bigint, returned bigint)
    WHERE slug = ANY(%(slugs)s) GROUP BY slug
) AS line
WHERE placed.unit IS NOT NULL AND placed.status IN {ELIGIBLE} AND placed.excluded_as IS NULL
    AND placed.placed_at >= %(first_at)s::timestamptz"""

# How many pieces of the phase's bundles an order holds, and how many of them make up the variant's own.
CONTENTS = """
SELECT line.order_id, component.phase_id, component.variant_key, sum(line.pieces)::bigint AS pieces,
       sum(LEAST(line.pieces, component.required))::bigint AS in_bundle
FROM lines line JOIN components component ON component.slug = line.slug
GROUP BY 1, 2, 3"""

IS_NEAR = unguessed(
    f"placed.placed_at >= met.exposed_at - {HISTORY} AND placed.placed_at < met.window_end"
    " AND (placed.is_net OR placed.placed_at >= met.exposed_at)"
    " AND (met.left_at IS NULL OR placed.recorded_at < met.left_at)"
)

# Each time that the counted order was another, or no longer took the bundle: a cancelled order had counted where those
# placed before it were cancelled before it. And once more when the unit left with an order that counted.
REVISIONS = """CASE WHEN left_turns IS NULL THEN 0
            ELSE (
                SELECT COALESCE(sum(1 + ((turn >> 1) & 1)), 0)
                FROM unnest(left_turns, cancelled_at) AS own(turn, at)
                WHERE (turn < net_turn OR net_turn IS NULL) AND NOT EXISTS (
                    SELECT 1 FROM unnest(left_turns, cancelled_at) AS before(turn, at)
                    WHERE before.turn < own.turn AND before.at >= own.at))
       END + COALESCE((net_turn >> 1) & 1, 0) + (left_at IS NOT NULL AND net_turn IS NOT NULL)::int"""

# In one order, whichever way the rows were read: what is kept of a unit is held against what is counted anew.
FOREIGN = """CASE WHEN foreign_revenue IS NOT NULL THEN (
           SELECT jsonb_agg(money ORDER BY money) FROM jsonb_array_elements(foreign_revenue) AS money)
       END"""

# `{narrow}` makes amounts four bytes wide where all of them fit: sums of eight go by way of decimals.
MEASURED = f"""
WITH reached AS NOT MATERIALIZED (
    SELECT met.*, placed.currency, placed.is_net, placed.revenue, placed.margin, placed.pieces, placed.placed_at,
           placed.placed_at >= met.exposed_at AND met.left_at IS NULL AS is_after,
           placed.currency = met.own_currency AS is_own,
           placed.placed_at < met.exposed_at + interval '24 hours' AS is_within_a_day,
           placed.is_revised, placed.is_withdrawn, placed.cancelled_at,
           verdict.order_id IS NOT NULL AND placed.placed_at >= met.exposed_at
               AND placed.placed_at < met.served_to AS is_eligible,
           COALESCE(met.variant_key = ANY (verdict.takers), false) AS took,
           placed.turn * 4 + COALESCE(met.variant_key = ANY (verdict.former_takers), false)::int * 2
               + COALESCE(met.variant_key = ANY (verdict.takers), false)::int AS turn,
           content.pieces AS own_pieces, content.in_bundle
    FROM {{met}} AS met
    JOIN {{placed}} AND {IS_NEAR}
    LEFT JOIN verdicts verdict ON verdict.order_id = placed.id AND verdict.phase_id = met.phase_id
    LEFT JOIN contents content ON content.order_id = placed.id AND content.phase_id = met.phase_id
        AND content.variant_key = met.variant_key
), summed AS (
    SELECT phase_id, unit, variant_key, cohort_date, cohort_hour, is_uncut, is_uncut_day, device, country, revenue_cap,
           margin_cap, left_at, bool_or(NOT is_after) AS is_returning,
           bool_or(is_after AND is_revised) AS is_revised,
           bool_or(is_after AND is_net AND is_own AND margin IS NULL) AS is_uncosted,
           COALESCE(sum(revenue{{narrow}}) FILTER (WHERE NOT is_after AND is_own), 0)::bigint AS before,
           COALESCE(sum(revenue{{narrow}}) FILTER (WHERE is_after AND is_net AND is_own), 0)::bigint AS revenue,
           COALESCE(sum(revenue{{narrow}}) FILTER (WHERE is_after AND is_net AND is_own AND is_within_a_day), 0)::bigint
               AS day_revenue,
           COALESCE(sum(margin{{narrow}}) FILTER (WHERE is_after AND is_net AND is_own), 0)::bigint AS margin,
           bool_or(is_after AND is_net) AS bought,
           bool_or(is_after AND is_net AND took) AS took,
           bool_or(is_after AND is_net AND is_within_a_day) AS day_bought,
           bool_or(is_after AND is_net AND is_within_a_day AND took) AS day_took,
           count(*) FILTER (WHERE is_after AND is_net AND is_own) AS own_orders,
           count(*) FILTER (WHERE is_after AND is_net) AS orders,
           COALESCE(sum(pieces{{narrow}}) FILTER (WHERE is_after AND is_net), 0)::bigint AS pieces,
           COALESCE(sum(own_pieces{{narrow}}) FILTER (WHERE is_after AND is_net), 0)::bigint AS own_pieces,
           COALESCE(sum(in_bundle{{narrow}}) FILTER (WHERE is_after AND is_net AND took), 0)::bigint AS bundled,
           jsonb_agg(jsonb_build_array(currency, revenue)) FILTER (WHERE is_after AND is_net AND NOT is_own)
               AS foreign_revenue,
           min(placed_at) FILTER (WHERE is_eligible AND is_net) AS counted_at,
           min(turn) FILTER (WHERE is_eligible AND is_net) AS net_turn,
           min(placed_at) FILTER (WHERE is_eligible) AS first_at,
           min(turn) FILTER (WHERE is_eligible) AS gross_turn,
           array_agg(turn) FILTER (WHERE is_eligible AND is_withdrawn) AS left_turns,
           array_agg(cancelled_at) FILTER (WHERE is_eligible AND is_withdrawn) AS cancelled_at
    FROM reached
    GROUP BY 2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
)
SELECT phase_id, unit, variant_key, cohort_date, cohort_hour, is_uncut, is_uncut_day, device, country, is_returning,
       is_revised, NOT is_uncosted AS is_costed, LEAST(before, revenue_cap) AS x,
       LEAST(revenue, revenue_cap) AS revenue, revenue AS raw_revenue,
       LEAST(day_revenue, revenue_cap) AS day_revenue, LEAST(margin, margin_cap) AS margin,
       margin AS raw_margin, bought::int::bigint AS bought, took::int::bigint AS took,
       day_bought::int::bigint AS day_bought, day_took::int::bigint AS day_took, own_orders, orders, pieces,
       own_pieces - bundled AS alone, bundled, {FOREIGN} AS foreign_revenue,
       CASE WHEN left_at IS NULL THEN counted_at END AS net_at, COALESCE(net_turn & 1, 0) AS net_accepted,
       CASE WHEN left_at IS NULL THEN first_at END AS gross_at, COALESCE(gross_turn & 1, 0) AS gross_accepted,
       first_at, {REVISIONS} AS revisions
FROM summed
WHERE left_at IS NULL OR net_turn IS NOT NULL OR left_turns IS NOT NULL"""


OWN = "placed ON placed.unit = met.unit"
OF_PERSON = f"""(
    SELECT unit AS owner, NULL::uuid AS only_phase, placed.* FROM placed UNION ALL {ORDERS_OF_OTHERS}
) AS placed ON placed.owner = met.unit AND (placed.only_phase IS NULL OR placed.only_phase = met.phase_id)"""

ARE_WIDE = "SELECT COALESCE(max(GREATEST(abs(revenue), abs(margin), pieces)) >= 2147483648, false) FROM placed"


def measure_all(bench: Workbench) -> None:
    """Leave `measured`: every unit of the phases that counts and has an order."""
    bench.lay_out("placed", PLACED.format(orders=ALL_ORDERS))
    bench.lay_out("verdicts", VERDICTS.format(outcomes="catalog_bundle_order_outcomes outcome"))
    bench.lay_out("lines", LINES.format(orders=ALL_ORDERS))
    bench.lay_out("contents", CONTENTS)
    ((are_wide,),) = bench.fetch(ARE_WIDE)
    placed = OF_PERSON if lay_out_persons(bench, of=None) else OWN
    met = f"({MET.format(chosen=ALL_EXPOSURES)})"
    bench.lay_out("measured", MEASURED.format(met=met, placed=placed, narrow="" if are_wide else "::int"))


def measure_some(bench: Workbench, *, units: str, days: str | None = None) -> None:
    """Leave `measured`: those of some units of their phases, and of all units of some cohort days.

    Args:
        bench: where to work.
        units: a table with `phase_id` and `unit`.
        days: a table with `phase_id` and `cohort_date`; None for no day.
    """
    chosen = [EXPOSURES_OF_UNITS.format(units=units)]
    if days is not None:
        chosen.append(EXPOSURES_OF_DAYS.format(days=days))
    bench.lay_out("met", " UNION ".join(MET.format(chosen=exposures) for exposures in chosen))
    has_persons = lay_out_persons(bench, of="met")
    bench.lay_out("placed", PLACED.format(orders=ORDERS_OF_MET.format(met=MET_WITH_OTHERS if has_persons else "met")))
    bench.lay_out("verdicts", VERDICTS.format(outcomes=OUTCOMES_OF_PLACED))
    bench.lay_out("lines", LINES.format(orders=PLACED_AGAIN))
    bench.lay_out("contents", CONTENTS)
    bench.lay_out("measured", MEASURED.format(met="met", placed=OF_PERSON if has_persons else OWN, narrow=""))
