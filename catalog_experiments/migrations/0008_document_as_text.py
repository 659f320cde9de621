"""Keep published documents as the text that is served, uncompressed.

Nothing queries inside them, and under the lock of publication parsing and squeezing half a megabyte costs four
milliseconds of eighteen.
"""

from django.db import migrations, models

FORWARD = """
ALTER TABLE catalog_published_documents ALTER COLUMN document TYPE text USING document::text;
ALTER TABLE catalog_published_documents ALTER COLUMN document SET STORAGE EXTERNAL;
"""
BACKWARD = """
ALTER TABLE catalog_published_documents ALTER COLUMN document SET STORAGE EXTENDED;
ALTER TABLE catalog_published_documents ALTER COLUMN document TYPE jsonb USING document::jsonb;
"""


class Migration(migrations.Migration):
    dependencies = [("catalog_experiments", "0007_unit_aliases")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.RenameField("publisheddocument", "document", "text"),
                migrations.AlterField("publisheddocument", "text", models.TextField(db_column="document")),
            ],
        )
    ]
