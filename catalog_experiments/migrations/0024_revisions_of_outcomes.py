"""Count how often an outcome that had counted changed or left.

What was withdrawn before stays unmarked: those revisions were judged in their time, and only later ones are news.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0023_aa_canary"),
    ]

    operations = [
        migrations.AddField(
            model_name="guardrailtally",
            name="revised",
            field=models.BigIntegerField(db_default=0),
        ),
        migrations.AddField(
            model_name="openunit",
            name="revisions",
            field=models.BigIntegerField(db_default=0, help_text="How often its outcome changed or left."),
        ),
        migrations.AddField(
            model_name="order",
            name="is_withdrawn",
            field=models.BooleanField(db_default=False, help_text="Cancelled after it was paid: it had counted."),
        ),
        migrations.AddField(
            model_name="orderoutcome",
            name="is_withdrawn",
            field=models.BooleanField(db_default=False, help_text="Accepted at first, until a part came back."),
        ),
        migrations.AddConstraint(
            model_name="guardrailtally",
            constraint=models.CheckConstraint(condition=models.Q(("revised__gte", 0)), name="guardrail_tally_revised"),
        ),
    ]
