"""Bring everything that is counted of some phases up to the facts: whole, or by what is news, to the same rows.

The flow of the package: exposures meet orders once (`units`); from what each unit did follow the hourly tallies
(`tallies`), the rows of the cohort days (`cohorts`) and from those the moments (`moments`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from catalog_experiments.aggregation import cursors, open_units
from catalog_experiments.aggregation.cohorts import store_all, store_some
from catalog_experiments.aggregation.cursors import Watermark
from catalog_experiments.aggregation.erased import lay_out_erased
from catalog_experiments.aggregation.moments import store_moments
from catalog_experiments.aggregation.news import find_news, is_too_much
from catalog_experiments.aggregation.scope import Scope
from catalog_experiments.aggregation.tallies import tally_all, tally_some
from catalog_experiments.aggregation.units import measure_all, measure_some
from catalog_experiments.aggregation.workbench import workbench
from catalog_experiments.models import Phase

COHORTS_OF_PHASES = """
SELECT phase_id, cohort_date FROM catalog_bundle_experiment_cohorts WHERE phase_id = ANY(%(ids)s)
UNION SELECT phase_id, cohort_date FROM catalog_bundle_experiment_moments WHERE phase_id = ANY(%(ids)s)"""
TOUCHED = "SELECT phase_id, cohort_date FROM recounted UNION SELECT phase_id, cohort_date FROM change"


@dataclass(frozen=True, slots=True)
class Counted:
    """How much was looked at: cohort days and hourly tallies. `written` are rows that were not right before."""

    cohorts: int = 0
    tallies: int = 0
    written: int = 0

    def __add__(self, other: Counted) -> Counted:
        """Return both together."""
        return Counted(self.cohorts + other.cohorts, self.tallies + other.tallies, self.written + other.written)


def update_counts(phases: Iterable[Phase], watermark: Watermark) -> Counted:
    """Bring tallies, cohort days and moments of the phases up to the watermark; call it inside a transaction.

    A phase that was never counted, or that served at other times than was assumed, is counted whole; of all others
    only what changed facts can have moved, each exactly.
    """
    scope = cursors.claim(phases, watermark)
    whole, known = scope.split()
    if known.phases and is_too_much(known):
        whole, known = cursors.reopened(scope, watermark), known.only(())
    counted = count_whole(whole) + _count_news(known)
    cursors.advance(scope, watermark)
    return counted


def recount(phases: Iterable[Phase], watermark: Watermark) -> Counted:
    """Bring the phases up to the watermark, then count them from all their facts: `written` were wrong until then.

    Call it in one view of the facts.
    """
    known = list(phases)
    update_counts(known, watermark)
    return count_whole(cursors.anew(cursors.claim(known, watermark)))


def count_whole(scope: Scope) -> Counted:
    """Count the phases from all their facts; rows that are right already stay untouched."""
    if not scope.phases:
        return Counted()
    with workbench(scope, is_bulk=True) as bench:
        lay_out_erased(bench)
        measure_all(bench)
        tallies = tally_all(bench)
        written = tallies + store_all(bench) + open_units.keep_all(bench)
        cohorts = bench.lay_out("touched", COHORTS_OF_PHASES)
        written += store_moments(bench)
    return Counted(cohorts, tallies, written)


def _count_news(scope: Scope) -> Counted:
    if not scope.phases:
        return Counted()
    with workbench(scope) as bench:
        if not find_news(bench):
            return Counted()
        measure_some(bench, units="chosen", days="closed")
        open_units.compare(bench)
        cohorts = bench.lay_out("touched", TOUCHED)
        lay_out_erased(bench)
        tallies = tally_some(bench)
        store_some(bench)
        open_units.keep_changed(bench)
        written = store_moments(bench)
    return Counted(cohorts, tallies, written)
