"""App registration of `catalog_experiments`."""

from django.apps import AppConfig


class CatalogExperimentsConfig(AppConfig):
    """Name the app for the registry and the admin."""

    name = "catalog_experiments"
    verbose_name = "Bundle experiments"
    default_auto_field = "django.db.models.BigAutoField"
