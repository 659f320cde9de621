"""Know which visitor ids are one customer's, so that a person counts once in a phase."""

import catalog_experiments.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0006_salts_never_change"),
    ]

    operations = [
        migrations.CreateModel(
            name="UnitAlias",
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
                ("visitor", models.UUIDField(unique=True)),
                ("customer", models.UUIDField(db_index=True)),
                ("recorded_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "unit aliases",
                "db_table": "catalog_unit_aliases",
                "ordering": ["-recorded_at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("visitor", models.F("customer")), _negated=True),
                        name="unit_alias_of_another",
                    )
                ],
            },
        ),
    ]
