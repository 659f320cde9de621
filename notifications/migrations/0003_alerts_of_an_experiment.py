"""Alerts of one experiment, newest first: what its timeline asks."""

import django.db.models.fields.json
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0002_append_only_attempts"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(
                django.db.models.fields.json.KeyTextTransform(
                    "experiment", django.db.models.fields.json.KeyTextTransform("data", "facts")
                ),
                models.OrderBy(models.F("created_at"), descending=True),
                name="alert_experiment",
            ),
        ),
    ]
