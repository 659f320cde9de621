"""Find a phase's newest evaluation, and where a verdict turned, without reading all that came before."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0019_sums_of_one_phase")]

    operations = [
        migrations.AddIndex(
            model_name="guardrailevaluation",
            index=models.Index(fields=["phase", "-sequence"], name="evaluation_newest_of_phase"),
        ),
        migrations.AddIndex(
            model_name="guardrailevaluation",
            index=models.Index(fields=["experiment", "verdict", "sequence"], name="evaluation_by_verdict"),
        ),
        migrations.AddIndex(
            model_name="guardrailevaluation",
            index=models.Index(
                condition=models.Q(("action", "paused")),
                fields=["experiment", "sequence"],
                name="evaluation_that_paused",
            ),
        ),
        # The new indexes begin with these columns: their own are superfluous.
        migrations.AlterField(
            model_name="guardrailevaluation",
            name="experiment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="evaluations",
                to="catalog_experiments.experiment",
            ),
        ),
        migrations.AlterField(
            model_name="guardrailevaluation",
            name="phase",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="evaluations",
                to="catalog_experiments.phase",
            ),
        ),
    ]
