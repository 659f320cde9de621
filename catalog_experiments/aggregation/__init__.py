"""Facts -> tallies, cohort days, moments and metric rows: the only home of heavy SQL, and the only writer of these.

Third step of the walk, between `intake` and `analysis`. Read it in this order:

1. `runs`: everything, some experiments, or those of a guardrail tick are brought up to now, slice by slice.
2. `cursors`: a slice locks its phases and learns since when facts are news (`scope`: which phases, served when).
3. `news`: which units, cohort days and hours those facts can have moved; a phase never counted is counted whole.
4. `units`: exposures meet orders, once; each unit's amounts stand in one row (`workbench`: such tables of one run).
   `persons` are asked first: orders under any id of a person are those of the unit that stays.
5. `tallies`, `cohorts` and from these `moments` follow; `open_units` keeps what the next difference is taken from.
   Young days are told by the hour too (`hourly`), where a drop is judged.
6. `erased` keeps what a unit had added before its facts are erased, and adds it wherever its day is counted again.
7. `metric_rows` and `acceptance` are what cards show; `backfill` writes those rows for days past.

All numbers are exact sums of whole numbers that merge by addition, so counting whole and counting by differences end in
the same rows: a run may be repeated, killed, or run beside another.
"""

from catalog_experiments.aggregation.backfill import BackfillResult, backfill
from catalog_experiments.aggregation.erased import keep_sums
from catalog_experiments.aggregation.runs import (
    AggregationResult,
    BundleAcceptanceAggregator,
    InvalidLookback,
    Verification,
    aggregate_experiments,
    refresh_tallies,
)
from catalog_experiments.aggregation.workbench import Guard

__all__ = [
    "AggregationResult",
    "BackfillResult",
    "BundleAcceptanceAggregator",
    "Guard",
    "InvalidLookback",
    "Verification",
    "aggregate_experiments",
    "backfill",
    "keep_sums",
    "refresh_tallies",
]
