"""The address book of the whole site; each app keeps its own pages."""

from __future__ import annotations

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from catalog_experiments.admin.control_center import control_center_urls
from smplat.health import live, ready
from smplat.metrics import metrics

# The API's page keeps its script apart, so that only its styles need an exception.
api_docs = csp_update({"style-src": UNSAFE_INLINE})(
    SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="catalog_experiments/api_docs.html")
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", live, name="livez"),
    path("readyz", ready, name="readyz"),
    path("healthz", ready, name="healthz"),
    path("metrics", metrics, name="metrics"),
    *control_center_urls,  # before the admin, whose last pattern takes everything below it
    path("admin/", admin.site.urls),
    path("api/v1/", include("catalog_experiments.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", api_docs, name="docs"),
    path("", include("storefront.urls")),
]

# Under /api/ also the framework's own refusals are problem documents; elsewhere they are pages.
handler400 = "catalog_experiments.api.problems.bad_request"
handler403 = "catalog_experiments.api.problems.permission_denied"
handler404 = "catalog_experiments.api.problems.not_found"
handler500 = "catalog_experiments.api.problems.server_error"
