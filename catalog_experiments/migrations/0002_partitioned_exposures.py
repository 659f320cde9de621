"""Exposures, range-partitioned by the month in which their phase opened.

Django cannot declare partitions, so the table is made by SQL and the model's state beside it. The DEFAULT
partition catches a month for which none was made; BRIN serves "recorded since", the cohort index one day of a phase.
"""

import django.db.models.deletion
from django.db import migrations, models

import catalog_experiments.models.fields

CREATE = """
CREATE TABLE catalog_bundle_exposures (
    id uuid NOT NULL,
    retention_month date NOT NULL,
    experiment_id uuid NOT NULL,
    phase_id uuid NOT NULL,
    unit uuid NOT NULL,
    variant_key varchar(100) NOT NULL,
    exposed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    is_mixed boolean NOT NULL DEFAULT false,
    is_fault boolean NOT NULL DEFAULT false,
    is_merged boolean NOT NULL DEFAULT false,
    is_holdout boolean NOT NULL DEFAULT false,
    segments jsonb NULL,
    CONSTRAINT catalog_bundle_exposures_key PRIMARY KEY (retention_month, experiment_id, phase_id, unit)
) PARTITION BY RANGE (retention_month);
CREATE TABLE catalog_bundle_exposures_default PARTITION OF catalog_bundle_exposures DEFAULT;
CREATE INDEX exposure_recorded ON catalog_bundle_exposures USING brin (recorded_at);
CREATE INDEX exposure_cohort ON catalog_bundle_exposures (phase_id, exposed_at);
"""

DROP = "DROP TABLE catalog_bundle_exposures"


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(CREATE, DROP)],
            state_operations=[
                migrations.CreateModel(
                    name="Exposure",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=catalog_experiments.models.fields.time_ordered_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("retention_month", models.DateField()),
                        ("unit", models.UUIDField()),
                        ("variant_key", models.CharField(max_length=100)),
                        ("exposed_at", models.DateTimeField()),
                        ("recorded_at", models.DateTimeField()),
                        ("is_mixed", models.BooleanField(default=False, help_text="Seen with another variant too.")),
                        (
                            "is_fault",
                            models.BooleanField(
                                default=False, help_text="The claimed variant was not the computed one."
                            ),
                        ),
                        (
                            "is_merged",
                            models.BooleanField(
                                default=False, help_text="Joined to an earlier unit of the same person."
                            ),
                        ),
                        ("is_holdout", models.BooleanField(default=False)),
                        ("segments", models.JSONField(blank=True, null=True)),
                        (
                            "experiment",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                to="catalog_experiments.experiment",
                            ),
                        ),
                        (
                            "phase",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                to="catalog_experiments.phase",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "catalog_bundle_exposures",
                        "ordering": ["-exposed_at"],
                    },
                ),
            ],
        ),
    ]
