"""Remember which phases gave up their facts, which units were erased, and which cohort days they left."""

import catalog_experiments.models.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0011_telemetry_quality"),
    ]

    operations = [
        migrations.CreateModel(
            name="ErasedUnit",
            fields=[
                ("digest", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("erased_at", models.DateTimeField()),
            ],
            options={
                "db_table": "catalog_erased_units",
                "ordering": ["-erased_at"],
            },
        ),
        migrations.AddField(
            model_name="phase",
            name="facts_retired_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Since when its exposures may be gone: what was summed stands, forever.",
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="ErasedCohort",
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
                ("cohort_date", models.DateField()),
                ("unit_count", models.PositiveIntegerField()),
                (
                    "phase",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="erased_cohorts",
                        to="catalog_experiments.phase",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_erased_cohorts",
                "ordering": ["phase", "cohort_date"],
                "constraints": [models.UniqueConstraint(fields=("phase", "cohort_date"), name="erased_cohort_key")],
            },
        ),
    ]
