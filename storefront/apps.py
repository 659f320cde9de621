"""App registration of `storefront`."""

from django.apps import AppConfig


class StorefrontConfig(AppConfig):
    """Name the app for the registry and the admin."""

    name = "storefront"
    verbose_name = "Storefront"
    default_auto_field = "django.db.models.BigAutoField"
