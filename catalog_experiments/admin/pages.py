"""How a page of the control center is put together: login, permission, the theme's context, and its address."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, re_path

from catalog_experiments.service import CatalogExperimentService

PageView = Callable[..., HttpResponse]
_BASE = r"^admin/merchandising/bundles"


def page(route: str, view: PageView, name: str) -> URLPattern:
    """Serve `view` below the control center's address, with and without a trailing slash, to staff only."""
    return re_path(rf"{_BASE}{route}/?$", admin.site.admin_view(view), name=name)


def requires(permission: str) -> Callable[[PageView], PageView]:
    """Refuse a view with 403 to whoever lacks `permission` (a codename of this app)."""

    def decorate(view: PageView) -> PageView:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perm(f"catalog_experiments.{permission}"):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return checked

    return decorate


def show(request: HttpRequest, template: str, *, title: str, status: int = 200, **context: Any) -> HttpResponse:
    """Render a control center template inside the admin's frame."""
    full = {**admin.site.each_context(request), "title": title, **context}
    return render(request, f"catalog_experiments/control_center/{template}", full, status=status)


def actor_of(request: HttpRequest) -> str:
    """Name the person for the audit trail."""
    return f"user:{request.user.get_username()}"


def service_for(request: HttpRequest) -> CatalogExperimentService:
    """Return the domain service acting as the person who asks."""
    return CatalogExperimentService(actor=actor_of(request))
