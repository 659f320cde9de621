"""The head of the chain of evaluations starts where the chain ends now, and from then on only grows."""

from django.db import migrations

FILL = """
INSERT INTO catalog_bundle_experiment_guardrail_head (id, sequence, record_hash)
SELECT 1, sequence, record_hash FROM catalog_bundle_experiment_guardrail_evaluations ORDER BY sequence DESC LIMIT 1
"""
GUARD = """
CREATE FUNCTION smplat_refuse_shorter_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the chain of evaluations cannot get shorter than %', OLD.sequence
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER refuse_shorter BEFORE UPDATE ON catalog_bundle_experiment_guardrail_head
    FOR EACH ROW WHEN (NEW.sequence <= OLD.sequence) EXECUTE FUNCTION smplat_refuse_shorter_chain();
CREATE TRIGGER refuse_change BEFORE DELETE ON catalog_bundle_experiment_guardrail_head
    FOR EACH ROW EXECUTE FUNCTION smplat_refuse_history_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON catalog_bundle_experiment_guardrail_head
    FOR EACH STATEMENT EXECUTE FUNCTION smplat_refuse_history_change();
"""
UNGUARD = """
DROP TRIGGER refuse_truncate ON catalog_bundle_experiment_guardrail_head;
DROP TRIGGER refuse_change ON catalog_bundle_experiment_guardrail_head;
DROP TRIGGER refuse_shorter ON catalog_bundle_experiment_guardrail_head;
DROP FUNCTION smplat_refuse_shorter_chain();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0015_stock_pauses_and_the_head_of_the_chain")]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
