"""`/metrics` in the text format of Prometheus: what each app's `probes.collect_metrics` yields, and this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from smplat.health import probe_modules, run_probes


class AppCollector(Collector):
    """Asks every app for its metric families at the moment of the request, so that all workers say the same."""

    def collect(self) -> Iterator[Metric]:
        """Yield the state of each readiness probe, then the families of the apps."""
        from prometheus_client.core import GaugeMetricFamily

        readiness = GaugeMetricFamily("smplat_ready", "1 when the component is ready.", labels=["component"])
        for probe in run_probes():
            readiness.add_metric([probe.name], float(probe.ok))
        yield readiness
        for module in probe_modules():
            families: Iterable[Metric] = module.collect_metrics() if hasattr(module, "collect_metrics") else ()
            yield from families


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the present figures."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(AppCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
