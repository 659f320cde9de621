"""Keep what erased units had added to the sums of their days, so that a later count adds it back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0026_calls_of_a_minute")]

    operations = [
        migrations.AddField(
            model_name="erasedcohort",
            name="sums",
            field=models.JSONField(default=dict),
        ),
    ]
