"""The admin class of tables that people may read and nobody may edit by hand."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest

from smplat.admin_theme import ModelAdmin, UncountedPaginator


class ReadOnlyAdmin(ModelAdmin[Model]):
    """List and show rows; adding, changing and deleting happen through the domain only."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are written by jobs and services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Facts and records are not edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Facts leave by retention, records never."""
        return False


class FactAdmin(ReadOnlyAdmin):
    """List rows of which there are millions: page by page along an index, and nobody counts them."""

    paginator = UncountedPaginator
