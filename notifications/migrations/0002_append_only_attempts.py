"""Attempts may only be added: the database refuses to change or delete what a send came to.

TRUNCATE stays allowed to whoever owns the table, which the test runner needs; the application's role has no right to it.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION notifications_refuse_attempt_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON notifications_delivery_attempts
    FOR EACH ROW EXECUTE FUNCTION notifications_refuse_attempt_change();
"""

UNDO = """
DROP TRIGGER refuse_change ON notifications_delivery_attempts;
DROP FUNCTION notifications_refuse_attempt_change();
"""


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]

    operations = [migrations.RunSQL(FUNCTION, UNDO)]
