"""Mark the exposures and orders of bots, staff and tests: kept, and left out of every count."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0009_ramps_and_schedules")]

    operations = [
        migrations.AddField(
            model_name="exposure",
            name="excluded_as",
            field=models.CharField(
                blank=True, choices=[("bot", "Bot"), ("staff", "Staff"), ("test", "Test")], max_length=8, null=True
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="excluded_as",
            field=models.CharField(
                blank=True, choices=[("bot", "Bot"), ("staff", "Staff"), ("test", "Test")], max_length=8, null=True
            ),
        ),
        migrations.AddIndex(
            model_name="exposure",
            index=models.Index(
                condition=models.Q(("excluded_as__isnull", False)), fields=["phase"], name="exposure_excluded"
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("excluded_as__isnull", False)), fields=["placed_at"], name="order_excluded"
            ),
        ),
    ]
