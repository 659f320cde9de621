# ruff: noqa: S608 - statements are made of this package's own texts; values go in as parameters
"""Rows of the youngest cohort days by the hour of the exposure: a drop is judged on them until its whole day is due.

They are segments of their day like any other, made and moved with it, and leave when the day needs them no more.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from catalog_experiments.aggregation.scope import Scope
from catalog_experiments.models import HOURLY

HOUR_OF = f"'{HOURLY}' || lpad(cohort_hour::text, 2, '0')"
IS_HOURLY = f"starts_with({{}}, '{HOURLY}')"

TOLD = """unnest(%(experiments)s::uuid[], %(phases)s::uuid[], %(hours_from)s::date[])
    AS told(experiment_id, phase_id, hours_from)"""
FORGET_COHORTS = f"""
DELETE FROM catalog_bundle_experiment_cohorts kept USING {TOLD}
WHERE kept.phase_id = told.phase_id AND kept.cohort_date < told.hours_from AND {IS_HOURLY.format("kept.segment")}"""
FORGET_MOMENTS = f"""
DELETE FROM catalog_bundle_experiment_moments kept USING {TOLD}
WHERE kept.experiment_id = told.experiment_id AND kept.phase_id = told.phase_id
    AND kept.cohort_date < told.hours_from AND {IS_HOURLY.format("kept.segment")}"""
FORGET_ERASED = f"""
UPDATE catalog_erased_cohorts kept SET sums = jsonb_set(kept.sums, '{{cohorts}}', (
    SELECT COALESCE(jsonb_agg(own), '[]') FROM jsonb_array_elements(kept.sums -> 'cohorts') AS own
    WHERE NOT {IS_HOURLY.format("own ->> 'segment'")}))
FROM {TOLD}
WHERE kept.phase_id = told.phase_id AND kept.cohort_date < told.hours_from
    AND jsonb_path_exists(kept.sums, '$.cohorts[*].segment ? (@ starts with "{HOURLY}")')"""


def forget_hours(scope: Scope) -> None:
    """Let go the hours of days before those that the scope's phases are told by the hour from."""
    told = [(phase, day) for phase in scope.phases if (day := scope.hours_from(phase)) is not None]
    if not told:
        return
    parameters: dict[str, Any] = {
        "experiments": [phase.experiment_id for phase, _ in told],
        "phases": [phase.pk for phase, _ in told],
        "hours_from": [day for _, day in told],
    }
    with connection.cursor() as cursor:
        for statement in (FORGET_COHORTS, FORGET_MOMENTS, FORGET_ERASED):
            cursor.execute(statement, parameters)
