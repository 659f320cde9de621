"""Note for experiments that wait for the slot of their page what is noted from now on: nobody is served meanwhile."""

from django.db import migrations, models

NOTE_WAITING = """
UPDATE catalog_bundle_experiment_phases AS phase
SET unserved_spans = unserved_spans || jsonb_build_array(jsonb_build_array(experiment.metadata->>'slot_since', NULL))
FROM catalog_bundle_experiments AS experiment
WHERE experiment.current_phase_id = phase.id AND experiment.status = 'running' AND phase.closed_at IS NULL
    AND experiment.metadata->'waits_for_slot' = 'true' AND experiment.metadata->>'slot_since' IS NOT NULL
    AND (unserved_spans = '[]' OR unserved_spans->-1->>1 IS NOT NULL)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0024_revisions_of_outcomes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="phase",
            name="unserved_spans",
            field=models.JSONField(
                default=list,
                help_text="Pauses, and waits for the slot of the page, as [from, to or null] in ISO 8601: units "
                "meeting one are cut.",
            ),
        ),
        migrations.RunSQL(NOTE_WAITING, migrations.RunSQL.noop),
    ]
