"""The admin theme, named here and nowhere else: admin modules take their base classes from this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin, StackedInline, TabularInline, action, display
    from django.core.paginator import Paginator as UncountedPaginator
else:
    from unfold import admin as theme
    from unfold.decorators import action, display
    from unfold.paginator import InfinitePaginator as UncountedPaginator

    class _Parametrized:
        """Lets `ModelAdmin[Model]` stand in code: the parameter is for type checkers only."""

        def __class_getitem__(cls, model: object) -> type:
            return cls

    class ModelAdmin(_Parametrized, theme.ModelAdmin):
        """Django's model admin in the theme's dress."""

    class StackedInline(_Parametrized, theme.StackedInline):
        """Django's stacked inline in the theme's dress."""

    class TabularInline(_Parametrized, theme.TabularInline):
        """Django's tabular inline in the theme's dress."""


__all__ = ["ModelAdmin", "StackedInline", "TabularInline", "UncountedPaginator", "action", "display"]
