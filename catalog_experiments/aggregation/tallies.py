# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""First eligible orders of exposed units by the hour of the order: what guardrails judge and cards show.

One outcome per unit: the first paid or confirmed order in its window that holds the slot's product; accepted when it
took the bundle of the unit's own variant. Gross counts ignore cancellations. Revisions are how often an outcome that
had counted changed or left, with its order or with its unit, at the hour of the unit's first order: they add up over
hours as all counts do, merged or not.
"""

from __future__ import annotations

from catalog_experiments.aggregation.workbench import Workbench

TABLE = "catalog_bundle_experiment_guardrail_tallies"
KEY = "phase_id, variant_key, outcome_hour_at"
COUNTS = ("n", "accepted", "gross_n", "gross_accepted", "revised")

TALLY = f"""
SELECT {KEY}, sum(n) AS n, sum(accepted) AS accepted, sum(gross_n) AS gross_n, sum(gross_accepted) AS gross_accepted,
       sum(revised) AS revised
FROM (
    SELECT phase_id, variant_key, date_trunc('hour', net_at, 'UTC') AS outcome_hour_at, sum({{sign}}1) AS n,
           sum({{sign}}net_accepted) AS accepted, 0 AS gross_n, 0 AS gross_accepted, 0 AS revised
    FROM {{units}} WHERE net_at IS NOT NULL GROUP BY 1, 2, 3
    UNION ALL
    SELECT phase_id, variant_key, date_trunc('hour', gross_at, 'UTC'), 0, 0, sum({{sign}}1),
           sum({{sign}}gross_accepted), 0
    FROM {{units}} WHERE gross_at IS NOT NULL GROUP BY 1, 2, 3
    UNION ALL
    SELECT phase_id, variant_key, date_trunc('hour', first_at, 'UTC'), 0, 0, 0, 0, sum({{sign}}revisions)
    FROM {{units}} WHERE revisions > 0 GROUP BY 1, 2, 3
) AS sides
GROUP BY 1, 2, 3"""

ANEW = TALLY.format(units="measured", sign="")
MOVED = f"""
SELECT {KEY}, COALESCE(kept.n, 0) + moved.n, COALESCE(kept.accepted, 0) + moved.accepted,
       COALESCE(kept.gross_n, 0) + moved.gross_n, COALESCE(kept.gross_accepted, 0) + moved.gross_accepted,
       COALESCE(kept.revised, 0) + moved.revised
FROM ({TALLY.format(units="change", sign="sign * ")}) AS moved
JOIN phases phase USING (phase_id)
LEFT JOIN {TABLE} kept USING (experiment_id, {KEY})
LEFT JOIN hours USING (phase_id, outcome_hour_at)
WHERE hours.phase_id IS NULL"""

# Of units that were erased, what they had added stands for their facts.
WITH_ERASED = f"""
SELECT {KEY}, {", ".join(f"sum({name}) AS {name}" for name in COUNTS)}
FROM ({ANEW} UNION ALL SELECT {KEY}, {", ".join(COUNTS)} FROM erased_tallies) AS together
GROUP BY 1, 2, 3"""

STORE = f"""
INSERT INTO {TABLE} AS kept (id, experiment_id, {KEY}, n, accepted, gross_n, gross_accepted, revised)
SELECT gen_random_uuid(), phase.experiment_id, tallied.* FROM tallied JOIN phases phase USING (phase_id)
WHERE tallied.gross_n <> 0 OR tallied.n <> 0 OR tallied.revised <> 0
ON CONFLICT (experiment_id, phase_id, variant_key, outcome_hour_at) DO UPDATE SET
    n = excluded.n, accepted = excluded.accepted,
    gross_n = excluded.gross_n, gross_accepted = excluded.gross_accepted, revised = excluded.revised
WHERE (kept.n, kept.accepted, kept.gross_n, kept.gross_accepted, kept.revised)
    IS DISTINCT FROM (excluded.n, excluded.accepted, excluded.gross_n, excluded.gross_accepted, excluded.revised)"""

SAME = """tallied.phase_id = kept.phase_id AND tallied.variant_key = kept.variant_key
    AND tallied.outcome_hour_at = kept.outcome_hour_at"""
OF_EXPERIMENTS = "kept.experiment_id = ANY(%(experiments)s)"
FORGET_STALE = f"""
DELETE FROM {TABLE} kept USING {{hours}} AS own
WHERE {OF_EXPERIMENTS} AND kept.phase_id = own.phase_id {{of_hour}}
    AND NOT EXISTS (SELECT 1 FROM tallied WHERE {SAME})"""
FORGET_EMPTY = f"""
DELETE FROM {TABLE} kept USING tallied
WHERE {OF_EXPERIMENTS} AND {SAME} AND tallied.n = 0 AND tallied.gross_n = 0 AND tallied.revised = 0"""


def tally_all(bench: Workbench) -> int:
    """Make the phases' tallies anew from `measured`; return how many were not right before."""
    bench.lay_out("tallied", _anew(bench))
    return bench.run(STORE) + bench.run(FORGET_STALE.format(hours="phases", of_hour=""))


def tally_some(bench: Workbench) -> int:
    """Bring tallies up to date; return how many changed.

    Those of `hours` are made anew from `measured`; of all others what the units in `change` add is added.
    """
    anew = f"SELECT anew.* FROM ({_anew(bench)}) AS anew JOIN hours USING (phase_id, outcome_hour_at)"
    bench.lay_out("tallied", f"{anew} UNION ALL {MOVED}")
    of_hour = "AND kept.outcome_hour_at = own.outcome_hour_at"
    return bench.run(STORE) + bench.run(FORGET_STALE.format(hours="hours", of_hour=of_hour)) + bench.run(FORGET_EMPTY)


def _anew(bench: Workbench) -> str:
    return WITH_ERASED if bench.has("erased") else ANEW
