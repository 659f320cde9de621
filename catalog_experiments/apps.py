"""App registration of `catalog_experiments`."""

from importlib import import_module

from django.apps import AppConfig


class CatalogExperimentsConfig(AppConfig):
    """Name the app for the registry and the admin."""

    name = "catalog_experiments"
    verbose_name = "Bundle experiments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks of our settings."""
        import_module("catalog_experiments.checks")
