"""The admin theme, named here and nowhere else: admin modules take their base classes from this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, StackedInline, TabularInline, action, display
else:
    from unfold.admin import ModelAdmin, StackedInline, TabularInline
    from unfold.decorators import action, display

__all__ = ["ModelAdmin", "StackedInline", "TabularInline", "action", "display"]
