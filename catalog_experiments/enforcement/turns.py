"""Where an experiment's verdict turned: found from turn to turn by index, so that a long history costs no more."""

from __future__ import annotations

from catalog_experiments.guardrails import Verdict
from catalog_experiments.models import Experiment, GuardrailEvaluation

# A stretch is a run of records with one verdict, told by its newest; before it comes the newest record of any other
# verdict. Stretch 0 is no record: it lies after the newest. A stretch begins with its verdict's first record after the
# stretch before it. Pairs are compared, and both are sorted by, for only the index by verdict can give that order:
# searching along the sequence for a verdict that was never there reads the whole history.
TURNS = """
WITH RECURSIVE stretch AS (
    SELECT 0 AS number, ''::text AS verdict, 9223372036854775807 AS newest
    UNION ALL
    SELECT stretch.number + 1, earlier.verdict, earlier.newest
    FROM stretch CROSS JOIN LATERAL (
        SELECT known.verdict, found.sequence AS newest
        FROM unnest(%(verdicts)s::text[]) AS known(verdict) CROSS JOIN LATERAL (
            SELECT verdict, sequence
            FROM catalog_bundle_experiment_guardrail_evaluations
            WHERE experiment_id = %(experiment)s AND (verdict, sequence) < (known.verdict, stretch.newest)
            ORDER BY verdict DESC, sequence DESC LIMIT 1
        ) AS found
        WHERE known.verdict <> stretch.verdict AND found.verdict = known.verdict
        ORDER BY newest DESC LIMIT 1
    ) AS earlier
    WHERE stretch.number <= %(most)s
), told AS (
    SELECT first.sequence
    FROM (SELECT *, lead(newest, 1, 0::bigint) OVER (ORDER BY number) AS earlier FROM stretch) AS stretch
    CROSS JOIN LATERAL (
        SELECT sequence
        FROM catalog_bundle_experiment_guardrail_evaluations
        WHERE experiment_id = %(experiment)s AND (verdict, sequence) > (stretch.verdict, stretch.earlier)
        ORDER BY verdict, sequence LIMIT 1
    ) AS first
    WHERE stretch.number > 0
    UNION
    (SELECT sequence
    FROM catalog_bundle_experiment_guardrail_evaluations
    WHERE experiment_id = %(experiment)s AND action = 'paused'
    ORDER BY sequence DESC LIMIT %(most)s)
)
SELECT id, sequence, evaluated_at, verdict, action
FROM catalog_bundle_experiment_guardrail_evaluations
WHERE sequence IN (SELECT sequence FROM told)
ORDER BY sequence DESC LIMIT %(most)s
"""


def verdict_turns(experiment: Experiment, *, most: int) -> list[GuardrailEvaluation]:
    """Return the newest records whose verdict differs from the one before, and those that paused; newest first.

    Only what a list of them tells is loaded: sequence, moment, verdict and action.
    """
    parameters = {"experiment": experiment.pk, "verdicts": [verdict.value for verdict in Verdict], "most": most}
    return list(GuardrailEvaluation.objects.raw(TURNS, parameters))
