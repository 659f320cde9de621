"""Note when an exposure that had counted stopped counting: an outcome that leaves is a revision.

By a trigger, because nobody who marks exposures may forget it. One that counts again never left.
"""

from django.db import migrations, models


COUNTS = "NOT ({0}.is_mixed OR {0}.is_fault OR {0}.is_merged OR {0}.is_holdout) AND {0}.excluded_as IS NULL"
NOTE_LEAVING = f"""
CREATE FUNCTION catalog_note_left_exposure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.left_at = CASE WHEN {COUNTS.format("NEW")} THEN NULL ELSE clock_timestamp() END;
    RETURN NEW;
END $$;
CREATE TRIGGER exposure_left BEFORE UPDATE ON catalog_bundle_exposures
    FOR EACH ROW WHEN (({COUNTS.format("OLD")}) <> ({COUNTS.format("NEW")}))
    EXECUTE FUNCTION catalog_note_left_exposure();
"""
FORGET_LEAVING = """
DROP TRIGGER exposure_left ON catalog_bundle_exposures;
DROP FUNCTION catalog_note_left_exposure();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog_experiments", "0027_sums_of_erased_units"),
    ]

    operations = [
        migrations.AddField(
            model_name="exposure",
            name="left_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Since when it counts no more, by the database's clock, where it did before.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="openunit",
            name="first_at",
            field=models.DateTimeField(
                help_text="When its first eligible order was placed, if it left too.", null=True
            ),
        ),
        migrations.RunSQL(NOTE_LEAVING, FORGET_LEAVING),
    ]
