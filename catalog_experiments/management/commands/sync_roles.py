"""Bring the groups viewer, merchandiser, approver and operator in step with the code."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog_experiments.roles import sync_roles


class Command(BaseCommand):
    help = "Create or update the groups viewer, merchandiser, approver, operator. Example: manage.py sync_roles"

    def handle(self, *args: Any, **options: Any) -> None:
        """Sync and print how many permissions each role holds; safe to repeat."""
        try:
            counts = sync_roles()
        except LookupError as error:
            raise CommandError(str(error)) from error
        for name, count in counts.items():
            self.stdout.write(f"{name}: {count} permissions")
