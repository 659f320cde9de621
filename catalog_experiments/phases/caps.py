"""What a phase fixes about money when it opens: the primary metric and the cap on each visitor's amount.

A few huge baskets would otherwise decide an experiment; the cap comes from the shop's orders before the phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from catalog_experiments.models import PrimaryMetric, Variant

HISTORY = timedelta(days=28)
QUANTILE = 0.999
# The newest orders only, so that a publish stays quick in a shop with millions of them.
MOST_ORDERS = 300_000

_AMOUNTS = """
WITH recent AS (
    SELECT unit, revenue_minor, margin_minor
    FROM catalog_checkout_orders
    WHERE placed_at >= %(since)s AND placed_at < %(until)s AND currency = %(currency)s
      AND status IN ('paid', 'confirmed') AND cancelled_at IS NULL AND excluded_as IS NULL
    ORDER BY placed_at DESC
    LIMIT %(most)s
), per_unit AS (
    SELECT sum(revenue_minor) AS revenue, sum(margin_minor) AS margin FROM recent WHERE unit IS NOT NULL GROUP BY unit
)
SELECT (SELECT percentile_disc(%(quantile)s) WITHIN GROUP (ORDER BY revenue) FROM per_unit WHERE revenue > 0),
       (SELECT percentile_disc(%(quantile)s) WITHIN GROUP (ORDER BY margin) FROM per_unit WHERE margin > 0),
       (SELECT coalesce(bool_and(margin_minor IS NOT NULL), true) FROM recent)
"""


@dataclass(frozen=True, slots=True)
class MoneyRules:
    """`caps` in minor units by metric name, metrics without history left out; `primary_metric` is the default."""

    caps: Mapping[str, int]
    primary_metric: str


def money_rules(variants: Sequence[Variant], currency: str, *, now: datetime) -> MoneyRules:
    """Return the caps and the default primary metric for a phase that opens now.

    A cap is the amount that 99.9 % of the paying units stayed within over the 28 days before. The primary metric is
    margin when the cost of every offered bundle and of every recent order is known, else revenue.
    """
    span: dict[str, str | int | float | datetime] = {
        "since": now - HISTORY,
        "until": now,
        "currency": currency,
        "most": MOST_ORDERS,
        "quantile": QUANTILE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_AMOUNTS, span)
        revenue, margin, are_order_costs_known = cursor.fetchone()
    are_costs_known = are_order_costs_known and all(v.bundle.cost_minor is not None for v in variants if v.bundle)
    found = {PrimaryMetric.REVENUE.value: revenue, PrimaryMetric.MARGIN.value: margin}
    return MoneyRules(
        caps={metric: int(cap) for metric, cap in found.items() if cap is not None},
        primary_metric=(PrimaryMetric.MARGIN if are_costs_known else PrimaryMetric.REVENUE).value,
    )
