"""Evaluations and events may only be added: the database refuses to change or empty them.

A session that sets `smplat.allow_truncate` to `on` may empty them: the test runner does, nobody else should.
"""

from django.db import migrations

TABLES = ("catalog_bundle_experiment_guardrail_evaluations", "catalog_bundle_experiment_events")

FUNCTION = """
CREATE FUNCTION smplat_refuse_history_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('smplat.allow_truncate', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Append a correcting row instead.';
END $$;
"""

TRIGGERS = """
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION smplat_refuse_history_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION smplat_refuse_history_change();
"""

UNDO = """
DROP TRIGGER refuse_change ON {table};
DROP TRIGGER refuse_truncate ON {table};
"""


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0002_partitioned_exposures")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION smplat_refuse_history_change()"),
        *(migrations.RunSQL(TRIGGERS.format(table=table), UNDO.format(table=table)) for table in TABLES),
    ]
