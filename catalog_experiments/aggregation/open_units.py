# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""The units of open cohort days, kept one by one: so news of a unit is a difference, not a recount of its day."""

from __future__ import annotations

from catalog_experiments.aggregation.units import COLUMNS
from catalog_experiments.aggregation.workbench import Workbench

TABLE = "catalog_bundle_experiment_open_units"
NAMES = ", ".join(COLUMNS)


def _own(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in COLUMNS)


OPEN = f"""
SELECT {_own("measured")} FROM measured
JOIN phases phase ON phase.phase_id = measured.phase_id AND measured.cohort_date >= phase.open_from"""

INSERT = f"INSERT INTO {TABLE} ({NAMES}) SELECT {_own('own')} FROM {{units}} AS own"

# What is right already is not written again: a nightly pass finds all of it right.
FORGET_WRONG = f"""
DELETE FROM {TABLE} kept WHERE kept.phase_id = ANY(%(ids)s) AND NOT EXISTS (
    SELECT 1 FROM measured JOIN phases phase USING (phase_id)
    WHERE measured.phase_id = kept.phase_id AND measured.unit = kept.unit AND measured.cohort_date >= phase.open_from
        AND ({_own("measured")}) IS NOT DISTINCT FROM ({_own("kept")}))"""
ADD_MISSING = f"""{INSERT.format(units=f"({OPEN})")}
WHERE NOT EXISTS (
    SELECT 1 FROM {TABLE} kept
    WHERE kept.phase_id = ANY(%(ids)s) AND kept.phase_id = own.phase_id AND kept.unit = own.unit)"""

CHANGED = f"""{OPEN}
JOIN (SELECT DISTINCT phase_id, unit FROM affected) AS own
    ON own.phase_id = measured.phase_id AND own.unit = measured.unit"""
CHANGE = f"SELECT 1 AS sign, {NAMES} FROM changed UNION ALL SELECT -1, {NAMES} FROM former"
FORGET = f"""
DELETE FROM {TABLE} kept USING former WHERE kept.phase_id = former.phase_id AND kept.unit = former.unit"""


def keep_all(bench: Workbench) -> int:
    """Keep the open units of `measured` and no others of the phases; return how many were wrong or missing."""
    return bench.run(FORGET_WRONG) + bench.run(ADD_MISSING)


def compare(bench: Workbench) -> None:
    """Leave `change`: what each affected unit of an open day adds now (sign 1), and added before (sign -1)."""
    bench.lay_out("changed", CHANGED)
    bench.lay_out("change", CHANGE)


def keep_changed(bench: Workbench) -> None:
    """Put the units in `changed` in the place of those in `former`."""
    bench.run(FORGET)
    bench.run(INSERT.format(units="changed"))
