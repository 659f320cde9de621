"""Report the orders of staff too, marked as such: the index finds every order telemetry has not heard of."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("storefront", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="shoporder",
            name="shop_order_unreported",
        ),
        migrations.AlterField(
            model_name="shoporder",
            name="is_internal",
            field=models.BooleanField(default=False, help_text="Placed by staff or a machine: never counted."),
        ),
        migrations.AddIndex(
            model_name="shoporder",
            index=models.Index(
                condition=models.Q(("reported_at__isnull", True)), fields=["placed_at"], name="shop_order_unreported"
            ),
        ),
    ]
