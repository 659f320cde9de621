"""Buyers whom no exposure is known of: are they missing from all variants alike?

A unit id is never stored, so the bucket of a unit that was not seen cannot be computed again. What remains is what its
order names: the variant whose offer a basket line was bought through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from catalog_experiments.intake import retention_month, served_spans
from catalog_experiments.models import Bundle, Phase

MOST_ORDERS = 20_000
"""Orders of the shop that are looked at, the newest ones of the phase: a page must not wait for a year of them."""

# Each order leads to its own rows: `OFFSET 0` keeps the look-ups behind the order they are for. Of a unit's orders one
# that names an offer speaks for it; an order without a unit stands for itself.
BUYERS = """
WITH recent AS MATERIALIZED (
    SELECT id, unit, placed_at, order_ref, offers FROM catalog_checkout_orders
    WHERE placed_at >= %(since)s AND placed_at < %(until)s AND excluded_as IS NULL AND status IN ('paid', 'confirmed')
    ORDER BY placed_at DESC LIMIT %(most)s
), bought AS (
    SELECT DISTINCT ON (COALESCE(recent.unit, recent.id)) recent.unit, named.variant
    FROM recent
    JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS span(start_at, end_at)
        ON recent.placed_at >= span.start_at AND recent.placed_at < span.end_at
    LEFT JOIN LATERAL (
        SELECT offer ->> 'variant' AS variant FROM jsonb_array_elements(recent.offers) AS offer
        WHERE offer ->> 'experiment' = %(slug)s AND offer ->> 'variant' = ANY(%(keys)s) ORDER BY 1 LIMIT 1
    ) AS named ON true
    WHERE EXISTS (
        SELECT 1 FROM (
            SELECT bundle_id FROM catalog_bundle_order_outcomes WHERE order_id = recent.id OFFSET 0
        ) AS said WHERE bundle_id = ANY(%(bundles)s))
    ORDER BY COALESCE(recent.unit, recent.id), named.variant IS NULL, recent.placed_at, recent.order_ref
)
SELECT bought.unit IS NULL AS is_nameless, met.counts, bought.variant, count(*),
       (SELECT count(*) FROM recent) AS looked_at
FROM bought
LEFT JOIN LATERAL (
    SELECT NOT (is_mixed OR is_fault OR is_merged OR is_holdout) AND excluded_as IS NULL AS counts
    FROM catalog_bundle_exposures
    WHERE retention_month = %(month)s AND experiment_id = %(experiment)s AND phase_id = %(phase)s
        AND unit = bought.unit OFFSET 0
) AS met ON true
GROUP BY 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class Buyers:
    """Who bought the slot's product while a phase served, one per unit, by the variant that an order of theirs names.

    `met` are those with an exposure that counts, `unmet` those without any; `unnamed` are unmet, and none of their
    orders names an offer, so their variant cannot be known. `nameless` orders came without a unit. `is_partial`: only
    the newest orders of the phase were looked at.
    """

    met: Mapping[str, int]
    unmet: Mapping[str, int]
    unnamed: int = 0
    nameless: int = 0
    is_partial: bool = False

    @property
    def without_exposure(self) -> int:
        """Buyers whom no exposure is known of."""
        return sum(self.unmet.values()) + self.unnamed


def load_buyers(phase: Phase, slug: str, *, now: datetime) -> Buyers | None:
    """Count the buyers of a phase; None where its exposures may be gone, so that nobody can be looked for."""
    if phase.facts_retired_at is not None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(BUYERS, _parameters(phase, slug, now))
        return _buyers(cursor.fetchall())


def _parameters(phase: Phase, slug: str, now: datetime) -> dict[str, Any]:
    spans = served_spans(phase)
    slugs = [variant["bundle_slug"] for variant in phase.variants if variant["bundle_slug"]]
    return {
        "since": phase.opened_at,
        "until": phase.closed_at or now,
        "starts": [span.start_at for span in spans],
        "ends": [span.end_at or now for span in spans],
        "most": MOST_ORDERS,
        "slug": slug,
        "keys": [variant["key"] for variant in phase.variants],
        "bundles": list(Bundle.objects.filter(bundle_slug__in=slugs).values_list("pk", flat=True)),
        "month": retention_month(phase.opened_at),
        "experiment": phase.experiment_id,
        "phase": phase.pk,
    }


def _buyers(rows: Iterable[tuple[bool, bool | None, str | None, int, int]]) -> Buyers:
    met, unmet, unnamed, nameless, looked_at = dict[str, int](), dict[str, int](), 0, 0, 0
    for is_nameless, counts, variant, count, looked_at in rows:  # noqa: B007 - the last one is as good as any
        if is_nameless:
            nameless += count
        elif counts is None and variant is None:
            unnamed += count
        elif counts is None and variant is not None:
            unmet[variant] = count
        elif counts and variant is not None:
            met[variant] = count
    return Buyers(met, unmet, unnamed, nameless, is_partial=looked_at >= MOST_ORDERS)
