"""Let phases in which a drop is judged be counted whole at their next run: what is kept of them tells no hours yet.

Backwards, the hours leave: nobody would know that they are no segments.
"""

from django.db import migrations

COUNT_ANEW = """
UPDATE catalog_bundle_experiment_cursors held SET recorded_to = NULL
FROM catalog_bundle_experiment_phases phase
WHERE phase.id = held.phase_id AND phase.bounds ->> 'max_drop_vs_control' IS NOT NULL
"""
FORGET_HOURS = """
DELETE FROM catalog_bundle_experiment_cohorts WHERE starts_with(segment, 'hour:');
DELETE FROM catalog_bundle_experiment_moments WHERE starts_with(segment, 'hour:');
UPDATE catalog_erased_cohorts kept SET sums = jsonb_set(kept.sums, '{cohorts}', (
    SELECT COALESCE(jsonb_agg(own), '[]') FROM jsonb_array_elements(kept.sums -> 'cohorts') AS own
    WHERE NOT starts_with(own ->> 'segment', 'hour:')))
WHERE kept.sums ? 'cohorts'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0029_hour_of_exposure"),
    ]

    operations = [
        migrations.RunSQL(COUNT_ANEW, FORGET_HOURS),
    ]
