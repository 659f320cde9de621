"""Mark also the days whose bundle acceptance counted orders of erased units."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0017_acceptance_by_hour"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="erasedcohort",
            name="erased_cohort_key",
        ),
        migrations.AlterField(
            model_name="erasedcohort",
            name="phase",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="erased_cohorts",
                to="catalog_experiments.phase",
            ),
        ),
        migrations.AddConstraint(
            model_name="erasedcohort",
            constraint=models.UniqueConstraint(
                fields=("phase", "cohort_date"), name="erased_cohort_key", nulls_distinct=False
            ),
        ),
    ]
