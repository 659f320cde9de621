"""App registration of `notifications`."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Name the app for the registry and the admin."""

    name = "notifications"
    verbose_name = "Notifications"
    default_auto_field = "django.db.models.BigAutoField"
