"""A salt decides who sees what: the database refuses to change one, whoever asks."""

from django.db import migrations

TABLES = ("catalog_bundle_experiment_phases", "catalog_exclusion_groups", "catalog_holdouts")

FUNCTION = """
CREATE FUNCTION smplat_refuse_salt_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the salt of a row in % never changes', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Open a new phase, or make a new group.';
END $$;
"""

TRIGGER = """
CREATE TRIGGER refuse_salt_change BEFORE UPDATE OF salt ON {table}
    FOR EACH ROW WHEN (OLD.salt IS DISTINCT FROM NEW.salt) EXECUTE FUNCTION smplat_refuse_salt_change();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0005_claimed_variant")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION smplat_refuse_salt_change()"),
        *(
            migrations.RunSQL(TRIGGER.format(table=table), f"DROP TRIGGER refuse_salt_change ON {table}")
            for table in TABLES
        ),
    ]
