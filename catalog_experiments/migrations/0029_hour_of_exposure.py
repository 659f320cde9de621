"""Keep the hour in which an open unit was exposed: a drop is judged by the hour."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0028_outcomes_that_left"),
    ]

    operations = [
        migrations.AddField(
            model_name="openunit",
            name="cohort_hour",
            field=models.PositiveSmallIntegerField(
                help_text="The UTC hour of its exposure; null in a phase in which no drop is judged.", null=True
            ),
        ),
    ]
