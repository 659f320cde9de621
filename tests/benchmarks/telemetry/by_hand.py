"""Run the hand-written SQL, and hold what it found against what the aggregation stored: row by row, digit by digit."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path

from django.db import connection, transaction

STATEMENTS = Path(__file__).with_name("by_hand.sql")

MOMENTS = """
SELECT phase_id, variant_key, cohort_date, metric, segment, currency, n::numeric, total::numeric,
       total_squares::numeric, covariate_total::numeric, covariate_total_squares::numeric, cross_total::numeric
FROM {table}"""
TALLIES = """
SELECT phase_id, variant_key, outcome_hour_at, n::numeric, accepted::numeric, gross_n::numeric, gross_accepted::numeric
FROM {table}"""
ACCEPTANCE = """
SELECT bundle_id, sample_size::numeric, acceptance_count::numeric, last_accepted_at FROM {table}"""
COMPARED = {
    "moments": (MOMENTS, "by_hand_moments", "catalog_bundle_experiment_moments"),
    "tallies": (TALLIES, "by_hand_tallies", "catalog_bundle_experiment_guardrail_tallies"),
    "acceptance": (ACCEPTANCE, "by_hand_acceptance", "catalog_bundle_acceptance_metrics"),
}


def run(*, now: datetime) -> tuple[float, dict[str, list[str]]]:
    """Return the seconds it took, and by product a few of the rows that differ from the stored ones."""
    with transaction.atomic(), connection.cursor() as cursor:
        started = time.perf_counter()
        for statement in _statements():
            cursor.execute(statement, {"now": now})
        seconds = time.perf_counter() - started
        differing = {}
        for name, (rows, by_hand, stored) in COMPARED.items():
            one, other = rows.format(table=by_hand), rows.format(table=stored)
            cursor.execute(
                f"(SELECT 'only by hand', * FROM (({one}) EXCEPT ({other})) AS one LIMIT 5) UNION ALL "
                f"(SELECT 'only stored', * FROM (({other}) EXCEPT ({one})) AS other LIMIT 5)"
            )
            differing[name] = [str(row) for row in cursor.fetchall()]
    return seconds, differing


def _statements() -> list[str]:
    text = re.sub(r"--.*", "", STATEMENTS.read_text())
    return [statement for statement in text.split(";") if statement.strip()]
