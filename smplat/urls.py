"""The address book of the whole site; each app keeps its own pages."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from smplat.health import live, ready
from smplat.metrics import metrics


def exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


control_center_urls: list[URLPattern] = []
if exists("catalog_experiments.admin.control_center"):
    from catalog_experiments.admin.control_center import control_center_urls

urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", live, name="livez"),
    path("readyz", ready, name="readyz"),
    path("healthz", ready, name="healthz"),
    path("metrics", metrics, name="metrics"),
    *control_center_urls,
    path("admin/", admin.site.urls),
    *([path("api/v1/", include("catalog_experiments.api.urls"))] if exists("catalog_experiments.api.urls") else []),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    *([path("", include("storefront.urls"))] if exists("storefront.urls") else []),
]
