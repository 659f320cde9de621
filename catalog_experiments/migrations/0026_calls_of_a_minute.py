"""Count the calls of each caller of the HTTP API, where every process sees them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0025_waiting_is_not_served"),
    ]

    operations = [
        migrations.CreateModel(
            name="CallCount",
            fields=[
                ("caller", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("window_at", models.DateTimeField(help_text="When the minute began.")),
                ("calls", models.PositiveIntegerField()),
            ],
            options={
                "db_table": "catalog_api_call_counts",
            },
        ),
        # Written by each call and worth nothing after a crash: no write-ahead log, so no wait for the disk.
        migrations.RunSQL(
            "ALTER TABLE catalog_api_call_counts SET UNLOGGED", "ALTER TABLE catalog_api_call_counts SET LOGGED"
        ),
    ]
