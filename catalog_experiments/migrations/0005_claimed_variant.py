"""Keep what a faulty client claimed beside the variant that was computed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0004_exclusion_groups_and_holdouts")]

    operations = [
        migrations.AddField(
            model_name="exposure",
            name="claimed_key",
            field=models.CharField(
                blank=True,
                help_text="What the client claimed, where that is another variant.",
                max_length=100,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="exposure",
            name="variant_key",
            field=models.CharField(help_text="As computed, whatever was claimed.", max_length=100),
        ),
        migrations.AlterField(
            model_name="exposure",
            name="is_holdout",
            field=models.BooleanField(default=False, help_text="Seen held out: kept from every result of the phase."),
        ),
    ]
