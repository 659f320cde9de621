# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""Whose orders count for which unit: a person's orders, under whatever id, count for the one that stays of its units.

Aliases say which ids are one person's. Where there are none nothing is laid out, and `units` joins orders by their own
unit alone. An alias that came after a phase had closed does not count there. A unit that left revises what it had
added by its own orders.
"""

from __future__ import annotations

from catalog_experiments.aggregation.scope import COUNTS
from catalog_experiments.aggregation.workbench import Workbench

FEW = 20_000
"""Ids up to which they are looked up phase by phase, in one pass over its part of the key; above, all are read."""

ARE_THERE = "SELECT EXISTS (SELECT FROM catalog_unit_aliases)"

# Every id of some people, the customer's too; `told_at` is when the database last heard of the person.
MEMBERS = """
WITH alias AS ({aliases})
SELECT customer, visitor AS unit, recorded_at, max(stored_at) OVER (PARTITION BY customer) AS told_at FROM alias
UNION ALL
SELECT customer, customer, min(recorded_at), max(stored_at) FROM alias GROUP BY customer"""
ALL_ALIASES = "SELECT customer, visitor, recorded_at, stored_at FROM catalog_unit_aliases"
ALIASES_OF = """
SELECT alias.customer, alias.visitor, alias.recorded_at, alias.stored_at
FROM (
    SELECT alias.customer FROM {units} AS own JOIN catalog_unit_aliases alias ON alias.visitor = own.unit
    UNION
    SELECT alias.customer FROM {units} AS own JOIN catalog_unit_aliases alias ON alias.customer = own.unit
    {others}
) AS person
JOIN catalog_unit_aliases alias USING (customer)"""
TOLD_LATELY = "UNION SELECT alias.customer FROM catalog_unit_aliases alias WHERE alias.stored_at >= %(since)s"

IDS = "ARRAY(SELECT unit FROM {members} ORDER BY unit)"
EXPOSURES_OF_FEW = f"""phases phase
CROSS JOIN LATERAL (
    SELECT * FROM catalog_bundle_exposures kept
    WHERE kept.retention_month = phase.month AND kept.experiment_id = phase.experiment_id
        AND kept.phase_id = phase.phase_id AND kept.unit = ANY({IDS})
    OFFSET 0
) AS exposure
JOIN {{members}} AS member ON member.unit = exposure.unit"""
EXPOSURES_OF_MANY = """phases phase
JOIN catalog_bundle_exposures exposure ON exposure.phase_id = phase.phase_id
    AND exposure.retention_month = ANY(%(months)s) AND (%(are_many)s OR exposure.phase_id = ANY(%(ids)s))
JOIN {members} AS member ON member.unit = exposure.unit"""

# Of the units that count the earliest stays, as intake marks them. An id that counts by itself all the same, met too
# late for a mark, keeps its own orders: so each order counts for one unit.
PERSONS = f"""
WITH counting AS MATERIALIZED (
    SELECT phase.phase_id, phase.closed_at, member.customer, exposure.unit, exposure.exposed_at, exposure.variant_key
    FROM {{exposures}}
    WHERE {COUNTS} AND member.recorded_at < phase.closed_at
), staying AS (
    SELECT DISTINCT ON (phase_id, customer) phase_id, closed_at, customer, unit
    FROM counting ORDER BY phase_id, customer, exposed_at, variant_key COLLATE "C", unit
)
SELECT staying.phase_id, staying.unit, member.unit AS other
FROM staying JOIN people member USING (customer)
WHERE member.unit <> staying.unit AND member.recorded_at < staying.closed_at AND NOT EXISTS (
    SELECT FROM counting WHERE counting.phase_id = staying.phase_id AND counting.unit = member.unit)"""

ORDERS_OF_OTHERS = """
SELECT persons.unit AS owner, persons.phase_id AS only_phase, placed.*
FROM persons JOIN placed ON placed.unit = persons.other"""


def are_there(bench: Workbench) -> bool:
    """Say whether any two ids are known to be one person's."""
    ((found,),) = bench.fetch_once(ARE_THERE)
    return bool(found)


def lay_out_members(bench: Workbench, name: str, *, of: str | None, others: str = "") -> int:
    """Leave a table of every id of the people behind some units; return how many ids there are.

    Args:
        bench: where to work.
        name: of the table.
        of: a table, or a selection in parentheses, with `unit`; None for everybody.
        others: more people, as a `UNION` of their customers.
    """
    aliases = ALL_ALIASES if of is None else ALIASES_OF.format(units=of, others=others)
    return bench.lay_out(name, MEMBERS.format(aliases=aliases))


def lay_out_persons(bench: Workbench, *, of: str | None) -> bool:
    """Leave `persons`: the unit that stays of each person in a phase, with each other id whose orders count for it.

    Args:
        bench: where to work.
        of: a table with `unit`, of which only the people are looked at; None for everybody.

    Returns:
        Whether there is any; there may be no table where there is none.
    """
    if not are_there(bench):
        return False
    count = lay_out_members(bench, "people", of=of)
    if not count:
        return False
    exposures = EXPOSURES_OF_FEW if count <= FEW else EXPOSURES_OF_MANY
    return bool(bench.lay_out("persons", PERSONS.format(exposures=exposures.format(members="people"))))
