"""Keep the acceptance of bundles by hour, so that a sliding sum adds up hours instead of reading orders."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0016_guard_the_head_of_the_chain"),
    ]

    operations = [
        migrations.AlterField(
            model_name="aggregationcursor",
            name="phase",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="cursor",
                to="catalog_experiments.phase",
            ),
        ),
        migrations.CreateModel(
            name="BundleAcceptanceHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "hour_at", "bundle_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour_at", models.DateTimeField()),
                ("sample_size", models.PositiveIntegerField()),
                ("acceptance_count", models.PositiveIntegerField()),
                ("last_accepted_at", models.DateTimeField(null=True)),
                (
                    "bundle",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="catalog_experiments.bundle",
                    ),
                ),
            ],
            options={
                "db_table": "catalog_bundle_acceptance_hours",
            },
        ),
    ]
