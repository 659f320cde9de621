"""Facts -> tallies, moments and metric rows: the only home of heavy SQL, and the only writer of what it makes.

Third step of the walk, between `intake` and `analysis`. Every result is recomputed exactly from the facts it covers,
so a run may be repeated, killed, or run beside another: the rows end the same.
"""

from catalog_experiments.aggregation.backfill import BackfillResult, backfill
from catalog_experiments.aggregation.runs import (
    AggregationResult,
    BundleAcceptanceAggregator,
    InvalidLookback,
    aggregate_experiments,
    refresh_tallies,
)

__all__ = [
    "AggregationResult",
    "BackfillResult",
    "BundleAcceptanceAggregator",
    "InvalidLookback",
    "aggregate_experiments",
    "backfill",
    "refresh_tallies",
]
