"""Stamp aliases by the database's clock, as facts are: aggregation finds what is new by it.

Those that are known already become news, for orders under a person's other ids were nobody's until now.
"""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0030_count_hours_of_drops"),
    ]

    operations = [
        migrations.AddField(
            model_name="unitalias",
            name="stored_at",
            field=models.DateTimeField(
                db_default=Now(),
                db_index=True,
                help_text="By the database's clock: aggregation finds what is new by it.",
            ),
        ),
    ]
