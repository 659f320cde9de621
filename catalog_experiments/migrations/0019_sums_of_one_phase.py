"""Tell the planner that a phase belongs to one experiment: the sums of one phase are then hashed, not sorted.

Without it the rows of an experiment's phase pass for a fiftieth of what they are.
"""

from django.db import migrations

TABLES = {
    "moment_of_phase": "catalog_bundle_experiment_moments",
    "tally_of_phase": "catalog_bundle_experiment_guardrail_tallies",
}
CREATE = "CREATE STATISTICS {name} (dependencies) ON experiment_id, phase_id FROM {table}"


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0018_erased_days_of_orders")]

    operations = [
        migrations.RunSQL(CREATE.format(name=name, table=table), f"DROP STATISTICS {name}")
        for name, table in TABLES.items()
    ]
