"""First eligible orders by hour, as the aggregation left them: net outcomes to judge, and what stands beside them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from django.db import connection

from catalog_experiments.guardrails import HourTally
from catalog_experiments.models import Phase
from catalog_experiments.stats.blocks import BlockClock

# As `merge_old_hours` does it: hours too old for an hour block count as days of the phase, so that a long phase costs
# no more than a short one.
SUM_OUTCOMES = """
SELECT wanted.phase_id, own.*
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::int[])
    AS wanted (phase_id, experiment_id, first_boundary, first_kept)
CROSS JOIN LATERAL (
    SELECT variant_key, array_agg(seconds), array_agg(n), array_agg(accepted),
           sum(gross_n)::bigint, sum(gross_accepted)::bigint, sum(revised)::bigint
    FROM (
        SELECT tally.variant_key,
               CASE WHEN 24 * (age.day + 1) > wanted.first_kept THEN date_part('epoch', tally.outcome_hour_at)::bigint
                    ELSE wanted.first_boundary + GREATEST(24 * age.day - 1, -1) * 3600 END AS seconds,
               sum(tally.n)::bigint AS n, sum(tally.accepted)::bigint AS accepted, sum(tally.gross_n) AS gross_n,
               sum(tally.gross_accepted) AS gross_accepted, sum(tally.revised) AS revised
        FROM catalog_bundle_experiment_guardrail_tallies AS tally
        CROSS JOIN LATERAL (
            SELECT GREATEST(
                0, floor((date_part('epoch', tally.outcome_hour_at) - wanted.first_boundary) / 3600)::int + 1
            ) / 24 AS day
        ) AS age
        WHERE tally.experiment_id = wanted.experiment_id AND tally.phase_id = wanted.phase_id
        GROUP BY 1, 2 ORDER BY 1, 2
    ) AS hour
    GROUP BY variant_key
) AS own
"""


class Gross(NamedTuple):
    """Outcomes and acceptances before cancellations, and how often an outcome that had counted changed or left."""

    n: int = 0
    accepted: int = 0
    revised: int = 0


Tallies = dict[uuid.UUID, dict[str, list[HourTally]]]
"""Net outcomes by phase id and variant key, per hour and for older ones per day of the phase."""


def load_outcomes(phases: Sequence[tuple[Phase, datetime]]) -> tuple[Tallies, dict[uuid.UUID, dict[str, Gross]]]:
    """Return the outcomes of phases, each with the moment at which it is judged; one query."""
    tallies: Tallies = defaultdict(lambda: defaultdict(list))
    gross: dict[uuid.UUID, dict[str, Gross]] = defaultdict(lambda: defaultdict(Gross))
    known = [phase for phase, _ in phases]
    clocks = [BlockClock(phase.opened_at, judged_at) for phase, judged_at in phases]
    kept = [_first_kept(phase, clock) for phase, clock in zip(known, clocks, strict=True)]
    ids, experiments = [phase.pk for phase in known], [phase.experiment_id for phase in known]
    with connection.cursor() as cursor:
        cursor.execute(
            SUM_OUTCOMES, [ids, experiments, [int(clock.first_boundary_at.timestamp()) for clock in clocks], kept]
        )
        for phase_id, key, seconds, n, accepted, *beside in cursor.fetchall():
            tallies[phase_id][key] = list(map(HourTally, map(_hour_at, seconds), n, accepted))
            gross[phase_id][key] = Gross(*beside)
    return tallies, gross


def _first_kept(phase: Phase, clock: BlockClock) -> int:
    # The batches of the rule `persistent` are cut at hours, so all of them are needed.
    return 0 if phase.bounds.get("pause_rule") == "persistent" else clock.first_kept_hour


@lru_cache(maxsize=4096)
def _hour_at(seconds: int) -> datetime:
    # The same hours stand in every phase.
    return datetime.fromtimestamp(seconds, UTC)
