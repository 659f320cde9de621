# ruff: noqa: S608 - the statement is made of this package's own texts; values go in as parameters
"""Past units at random, each with whether it ordered: what the measuring itself is tried on."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from catalog_experiments.aggregation.scope import COUNTS, ELIGIBLE
from catalog_experiments.intake import retention_month
from catalog_experiments.models import Phase, PhaseOrigin

# A unit that met several phases counts once, by its first exposure. The order by digest of seed and unit is random to
# everybody who does not know the seed, and the same again to whoever does.
DRAW = f"""
WITH met AS (
    SELECT DISTINCT ON (exposure.unit) exposure.unit, exposure.exposed_at,
           exposure.exposed_at + wanted.attribution AS window_end
    FROM unnest(%(months)s::date[], %(phases)s::uuid[], %(windows)s::interval[])
        AS wanted(retention_month, phase_id, attribution)
    CROSS JOIN LATERAL (
        SELECT exposure.unit, exposure.exposed_at FROM catalog_bundle_exposures exposure
        WHERE exposure.retention_month = wanted.retention_month AND exposure.phase_id = wanted.phase_id
            AND {COUNTS} AND exposure.exposed_at >= %(since)s AND exposure.exposed_at < %(now)s
        OFFSET 0
    ) AS exposure
    ORDER BY exposure.unit, exposure.exposed_at, window_end
), drawn AS (
    SELECT * FROM met ORDER BY md5(%(seed)s || unit::text), unit LIMIT %(most)s
)
SELECT drawn.unit::text, EXISTS (
    SELECT FROM catalog_checkout_orders placed
    WHERE placed.unit = drawn.unit AND placed.status IN {ELIGIBLE} AND placed.excluded_as IS NULL
        AND placed.placed_at >= drawn.exposed_at AND placed.placed_at < drawn.window_end
)
FROM drawn ORDER BY drawn.unit
"""


class DrawnUnit(NamedTuple):
    """One unit as the text of its digest (the id itself is not stored), and whether it ordered within its window."""

    unit: str
    has_ordered: bool


def draw_units(*, since_at: datetime, now: datetime, seed: str, most: int) -> list[DrawnUnit]:
    """Return at most so many of the units first seen since then in real, counted traffic, each once.

    Which ones depends on the seed alone: the same seed draws the same units from the same facts. Of a window that is
    still open the orders so far count, which is the same for every unit however units are split.
    """
    phases = Phase.objects.with_facts().filter(origin=PhaseOrigin.PUBLISHED, opened_at__lt=now)
    known = list(phases.filter(Q(closed_at__isnull=True) | Q(closed_at__gt=since_at)).order_by("pk"))
    parameters: dict[str, Any] = {
        "phases": [phase.pk for phase in known],
        "windows": [f"{phase.window_days} days" for phase in known],
        "months": [retention_month(phase.opened_at) for phase in known],
        "since": since_at,
        "now": now,
        "seed": seed,
        "most": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(DRAW, parameters)
        return [DrawnUnit(*row) for row in cursor.fetchall()]
