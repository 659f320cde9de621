"""App registration of the wiring itself, so that every Django process knows the Celery application."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class SmplatConfig(AppConfig):
    """Load Celery with Django; without it a task sent from a web request would look for another broker."""

    name = "smplat"

    def ready(self) -> None:
        """Make our Celery application the current one."""
        import_module("smplat.celery")
