"""Count what comes in by the hour, and keep the stretches in which it could not be trusted."""

import django.db.models.deletion
from django.db import migrations, models

import catalog_experiments.models.fields


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0010_excluded_traffic")]

    operations = [
        migrations.CreateModel(
            name="TelemetryGap",
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
                ("cause", models.CharField(max_length=32)),
                ("started_at", models.DateTimeField(help_text="As of which moment the data was still good.")),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "catalog_bundle_experiment_telemetry_gaps",
                "ordering": ["started_at"],
            },
        ),
        migrations.CreateModel(
            name="TelemetryHour",
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
                ("hour_at", models.DateTimeField()),
                ("exposed_count", models.PositiveBigIntegerField(default=0)),
                ("order_count", models.PositiveBigIntegerField(default=0)),
                ("joined_count", models.PositiveBigIntegerField(default=0)),
                ("foreign_count", models.PositiveBigIntegerField(default=0)),
            ],
            options={
                "db_table": "catalog_bundle_experiment_telemetry_hours",
            },
        ),
        migrations.AddField(
            model_name="telemetrygap",
            name="phase",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="telemetry_gaps",
                to="catalog_experiments.phase",
            ),
        ),
        migrations.AddField(
            model_name="telemetryhour",
            name="phase",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="telemetry_hours",
                to="catalog_experiments.phase",
            ),
        ),
        migrations.AddIndex(
            model_name="telemetrygap",
            index=models.Index(fields=["phase", "started_at"], name="telemetry_gap_phase"),
        ),
        migrations.AddConstraint(
            model_name="telemetrygap",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)), fields=("phase", "cause"), name="telemetry_gap_one_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="telemetrygap",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("ended_at__isnull", True), ("ended_at__gte", models.F("started_at")), _connector="OR"
                ),
                name="telemetry_gap_ordered",
            ),
        ),
        migrations.AddIndex(
            model_name="telemetryhour",
            index=models.Index(fields=["hour_at"], name="telemetry_hour_at"),
        ),
        migrations.AddConstraint(
            model_name="telemetryhour",
            constraint=models.UniqueConstraint(fields=("phase", "hour_at"), name="telemetry_hour_key"),
        ),
        migrations.AddConstraint(
            model_name="telemetryhour",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("foreign_count__lte", models.F("joined_count")), ("joined_count__lte", models.F("order_count"))
                ),
                name="telemetry_hour_counts",
            ),
        ),
    ]
