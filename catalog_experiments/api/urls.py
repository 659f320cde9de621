"""The addresses of the API: each answers with and without a slash at the end, and is documented in one spelling."""

from __future__ import annotations

from django.urls import URLPattern, path

import catalog_experiments.api.schema  # noqa: F401 - registers the security scheme
from catalog_experiments.api.views.backtest import BundleGuardrailBacktestView, ExperimentGuardrailBacktestView
from catalog_experiments.api.views.base import ApiView
from catalog_experiments.api.views.bundles import BundleDetailView, BundleListView, BundlesOfProductView
from catalog_experiments.api.views.experiments import ExperimentDetailView, ExperimentListView
from catalog_experiments.api.views.history import ExperimentEventsView, ExperimentMetricsView
from catalog_experiments.api.views.intake import AliasIntakeView, ExposureIntakeView, OrderIntakeView
from catalog_experiments.api.views.judgement import (
    ExperimentEvaluateView,
    ExperimentPreflightView,
    ExperimentReportView,
)
from catalog_experiments.api.views.lifecycle import (
    ExperimentCloneView,
    ExperimentCompleteView,
    ExperimentConcludeView,
    ExperimentPauseView,
    ExperimentPublishView,
    ExperimentRampAdvanceView,
    ExperimentRampStopView,
    ExperimentResumeView,
)


def address(route: str, view: type[ApiView], name: str) -> list[URLPattern]:
    """Return the documented spelling of a route, and its twin with or without the slash.

    A redirect from one to the other would lose the body of a POST.
    """
    twin = route.removesuffix("/") if route.endswith("/") else f"{route}/"
    return [path(route, view.as_view(), name=name), path(twin, view.as_view(schema=None))]


urlpatterns = [
    *address("catalog/experiments", ExperimentListView, "experiment-list"),
    *address("catalog/experiments/<str:slug>", ExperimentDetailView, "experiment-detail"),
    *address("catalog/experiments/<str:slug>/publish", ExperimentPublishView, "experiment-publish"),
    *address("catalog/experiments/<str:slug>/pause", ExperimentPauseView, "experiment-pause"),
    *address("catalog/experiments/<str:slug>/resume", ExperimentResumeView, "experiment-resume"),
    *address("catalog/experiments/<str:slug>/complete", ExperimentCompleteView, "experiment-complete"),
    *address("catalog/experiments/<str:slug>/conclude", ExperimentConcludeView, "experiment-conclude"),
    *address("catalog/experiments/<str:slug>/ramp/advance", ExperimentRampAdvanceView, "experiment-ramp-advance"),
    *address("catalog/experiments/<str:slug>/ramp/stop", ExperimentRampStopView, "experiment-ramp-stop"),
    *address("catalog/experiments/<str:slug>/clone", ExperimentCloneView, "experiment-clone"),
    *address("catalog/experiments/<str:slug>/preflight", ExperimentPreflightView, "experiment-preflight"),
    *address("catalog/experiments/<str:slug>/evaluate", ExperimentEvaluateView, "experiment-evaluate"),
    *address(
        "catalog/experiments/<str:slug>/guardrail-backtest",
        ExperimentGuardrailBacktestView,
        "experiment-guardrail-backtest",
    ),
    *address("catalog/experiments/<str:slug>/report", ExperimentReportView, "experiment-report"),
    *address("catalog/experiments/<str:slug>/metrics", ExperimentMetricsView, "experiment-metrics"),
    *address("catalog/experiments/<str:slug>/events", ExperimentEventsView, "experiment-events"),
    *address("catalog/bundles/", BundleListView, "bundle-list"),
    *address("catalog/bundles/product/<str:product_slug>", BundlesOfProductView, "bundle-product"),
    *address("catalog/bundles/<str:reference>", BundleDetailView, "bundle-detail"),
    *address(
        "catalog/bundles/<str:reference>/guardrail-backtest", BundleGuardrailBacktestView, "bundle-guardrail-backtest"
    ),
    *address("catalog/exposures", ExposureIntakeView, "exposure-intake"),
    *address("catalog/aliases", AliasIntakeView, "alias-intake"),
    *address("catalog/orders", OrderIntakeView, "order-intake"),
    path("orders/", OrderIntakeView.as_view(schema=None), name="order-intake-alias"),
    path("orders", OrderIntakeView.as_view(schema=None)),
]
