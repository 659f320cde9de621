"""Keep the sums of a cohort day in one row, and what each unit of an open day adds to them.

Where a report moves an exposure to an earlier time, the row remembers the latest time it had, so that the day it left
is counted again: by a trigger, because nobody who writes exposures may forget it. The cursors are emptied: the next
run counts every phase anew.
"""

import catalog_experiments.models.fields
import django.db.models.deletion
from django.db import migrations, models


EMPTY_CURSORS = "DELETE FROM catalog_bundle_experiment_cursors"

NOTE_MOVES = """
CREATE FUNCTION catalog_note_moved_exposure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.moved_from_at = GREATEST(OLD.moved_from_at, OLD.exposed_at);
    RETURN NEW;
END $$;
CREATE TRIGGER exposure_moved BEFORE UPDATE ON catalog_bundle_exposures
    FOR EACH ROW WHEN (NEW.exposed_at <> OLD.exposed_at) EXECUTE FUNCTION catalog_note_moved_exposure();
"""
FORGET_MOVES = """
DROP TRIGGER exposure_moved ON catalog_bundle_exposures;
DROP FUNCTION catalog_note_moved_exposure();
"""

# Rows that are brought up to date by every run find room beside themselves, and no index needs to know.
LEAVE_ROOM = """
ALTER TABLE catalog_bundle_experiment_moments SET (fillfactor = 70);
ALTER TABLE catalog_bundle_experiment_cohorts SET (fillfactor = 70);
"""
LEAVE_NONE = """
ALTER TABLE catalog_bundle_experiment_moments RESET (fillfactor);
ALTER TABLE catalog_bundle_experiment_cohorts RESET (fillfactor);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0013_live_confirmations"),
    ]

    operations = [
        migrations.RunSQL(EMPTY_CURSORS, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="Cohort",
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
                (
                    "phase",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cohorts",
                        to="catalog_experiments.phase",
                    ),
                ),
                ("variant_key", models.CharField(max_length=100)),
                ("cohort_date", models.DateField()),
                ("segment", models.CharField(blank=True, default="", max_length=120)),
                ("currency", models.CharField(blank=True, default="", max_length=3)),
                ("exposed", models.BigIntegerField(default=0, help_text="Units that count, cut ones included.")),
                ("uncut", models.BigIntegerField(default=0, help_text="Those whose whole window was served.")),
                ("uncut_day", models.BigIntegerField(default=0, help_text="Those whose first 24 hours were served.")),
                ("mixed", models.BigIntegerField(default=0)),
                ("faulty", models.BigIntegerField(default=0)),
                ("merged", models.BigIntegerField(default=0)),
                ("holdout", models.BigIntegerField(default=0)),
                ("bots", models.BigIntegerField(default=0)),
                ("staff", models.BigIntegerField(default=0)),
                ("tests", models.BigIntegerField(default=0)),
                (
                    "known",
                    models.BigIntegerField(default=0, help_text="Uncut units with an order before or in their window."),
                ),
                (
                    "revised",
                    models.BigIntegerField(
                        default=0, help_text="Units with a counted order that was changed afterwards."
                    ),
                ),
                (
                    "uncosted",
                    models.BigIntegerField(
                        default=0, help_text="Uncut units with an order of which a cost is unknown."
                    ),
                ),
                ("x", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("x_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("revenue", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("revenue_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("revenue_x", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("raw_revenue", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("raw_revenue_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("margin", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("margin_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("margin_x", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("raw_margin", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("raw_margin_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("bought", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("bought_x", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("took", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("took_x", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("own_orders", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("own_orders_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("revenue_own_orders", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("orders", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("orders_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("pieces", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("pieces_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("pieces_orders", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("alone", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("alone_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("bundled", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("bundled_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("alone_bundled", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("day_bought", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("day_took", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("day_revenue", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
                ("day_revenue_squares", models.DecimalField(decimal_places=0, default=0, max_digits=40)),
            ],
            options={
                "db_table": "catalog_bundle_experiment_cohorts",
            },
        ),
        migrations.CreateModel(
            name="OpenUnit",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "phase_id", "unit", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "phase",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="catalog_experiments.phase",
                    ),
                ),
                ("unit", models.UUIDField()),
                ("variant_key", models.CharField(max_length=100)),
                ("cohort_date", models.DateField()),
                ("is_uncut", models.BooleanField()),
                ("is_uncut_day", models.BooleanField()),
                ("device", models.CharField(max_length=100, null=True)),
                ("country", models.CharField(max_length=100, null=True)),
                ("is_returning", models.BooleanField()),
                ("is_revised", models.BooleanField()),
                ("is_costed", models.BooleanField()),
                ("x", models.BigIntegerField()),
                ("revenue", models.BigIntegerField()),
                ("raw_revenue", models.BigIntegerField()),
                ("day_revenue", models.BigIntegerField()),
                ("margin", models.BigIntegerField()),
                ("raw_margin", models.BigIntegerField()),
                ("bought", models.BigIntegerField()),
                ("took", models.BigIntegerField()),
                ("day_bought", models.BigIntegerField()),
                ("day_took", models.BigIntegerField()),
                ("own_orders", models.BigIntegerField()),
                ("orders", models.BigIntegerField()),
                ("pieces", models.BigIntegerField()),
                ("alone", models.BigIntegerField()),
                ("bundled", models.BigIntegerField()),
                ("foreign_revenue", models.JSONField(null=True)),
                ("net_at", models.DateTimeField(null=True)),
                ("net_accepted", models.BigIntegerField()),
                ("gross_at", models.DateTimeField(null=True)),
                ("gross_accepted", models.BigIntegerField()),
            ],
            options={
                "db_table": "catalog_bundle_experiment_open_units",
            },
        ),
        migrations.RemoveConstraint(
            model_name="aggregationcursor",
            name="aggregation_cursor_phase_product",
        ),
        migrations.RemoveConstraint(
            model_name="aggregationcursor",
            name="aggregation_cursor_product_known",
        ),
        migrations.RemoveField(
            model_name="aggregationcursor",
            name="product",
        ),
        migrations.AddField(
            model_name="aggregationcursor",
            name="open_from",
            field=models.DateField(null=True),
        ),
        migrations.AddField(
            model_name="experiment",
            name="segments",
            field=models.JSONField(
                blank=True, default=list, help_text="By what results are also told apart: device, country, history."
            ),
        ),
        migrations.AddField(
            model_name="exposure",
            name="moved_from_at",
            field=models.DateTimeField(
                blank=True, help_text="The latest time it was stored with, where an earlier report moved it.", null=True
            ),
        ),
        migrations.AddField(
            model_name="phase",
            name="segments",
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AlterField(
            model_name="aggregationcursor",
            name="phase",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="cursor", to="catalog_experiments.phase"
            ),
        ),
        migrations.AlterField(
            model_name="moment",
            name="metric",
            field=models.CharField(
                choices=[
                    ("revenue", "Revenue per visitor"),
                    ("margin", "Margin per visitor"),
                    ("conversion", "Conversion"),
                    ("take_rate", "Take rate"),
                    ("raw_revenue", "Revenue per visitor, uncapped"),
                    ("raw_margin", "Margin per visitor, uncapped"),
                    ("order_value", "Average order value"),
                    ("units_per_order", "Units per order"),
                    ("cannibalization", "Pieces bought apart and in the bundle"),
                    ("harm", "Conversion within 24 hours"),
                    ("harm_take_rate", "Take rate within 24 hours"),
                    ("harm_revenue", "Revenue within 24 hours"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="moment",
            name="segment",
            field=models.CharField(blank=True, default="", max_length=120),
        ),
        migrations.AddConstraint(
            model_name="cohort",
            constraint=models.UniqueConstraint(
                fields=("phase", "cohort_date", "variant_key", "segment", "currency"), name="cohort_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="cohort",
            constraint=models.CheckConstraint(
                condition=models.Q(("uncut__gte", 0), ("uncut__lte", models.F("exposed"))), name="cohort_uncut_range"
            ),
        ),
        migrations.RemoveConstraint(model_name="moment", name="moment_key"),
        migrations.AddConstraint(
            model_name="moment",
            constraint=models.UniqueConstraint(
                fields=("experiment", "phase", "cohort_date", "variant_key", "metric", "segment", "currency"),
                name="moment_key",
            ),
        ),
        migrations.RunSQL(NOTE_MOVES, FORGET_MOVES),
        migrations.RunSQL(LEAVE_ROOM, LEAVE_NONE),
        migrations.RunSQL(migrations.RunSQL.noop, EMPTY_CURSORS),
    ]
