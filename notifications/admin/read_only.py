"""The base of pages that are read, and acted upon only as a whole."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest

from smplat.admin_theme import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[type-arg]  # the theme's class takes no parameters at run time
    """A page to read; what may be done is done by actions, which ask for the change permission."""

    class Media:
        """The chips' style."""

        css = {"all": ["notifications/alerts.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only the program writes these."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: what was said to people stays on record."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the actions of the list are allowed; no single row can be edited."""
        return obj is None and super().has_change_permission(request, obj)

    def note(self, request: HttpRequest, rows: QuerySet[Any], count: int, done: str) -> None:
        """Tell the person what was done and keep it in the admin's log, beside each row."""
        for row in rows:
            self.log_change(request, row, done)
        level = messages.SUCCESS if count else messages.WARNING
        self.message_user(request, f"{done} {count} message{'' if count == 1 else 's'}.", level)
