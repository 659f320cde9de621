"""Try guardrails out on the past of an experiment or a bundle; nothing is stored."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog_experiments.api.schema import operation
from catalog_experiments.api.serializers.backtest import BacktestRequestSerializer, BacktestSerializer
from catalog_experiments.api.views.base import READ, ApiView, read_body
from catalog_experiments.api.views.bundles import find_bundle
from catalog_experiments.api.views.experiments import service_of
from catalog_experiments.backtest import BOUNDED_LOOKS, Options
from catalog_experiments.backtest.summary import summary

TAG = "judgement"
DESCRIPTION = (
    "Replays past phases hour by hour with the rules of the guardrails, counts false pauses over healthy phases made "
    "of the shop's own weeks, and suggests a threshold. Stores nothing."
)


def asked_of(request: Request) -> dict[str, Any]:
    """Return what the body asks of the domain call.

    Raises:
        ValidationError: naming each wrong field.
    """
    body = read_body(request, BacktestRequestSerializer)
    config = body.pop("guardrail_config", None)
    minimum = body.pop("sample_size_guardrail", None)
    options = Options(**body, most_looks=BOUNDED_LOOKS)
    return {"now": timezone.now(), "config": config, "minimum_sample": minimum, "options": options}


class ExperimentGuardrailBacktestView(ApiView):
    """Guardrails on the past of an experiment's product page, also for a draft."""

    scopes = {"POST": READ}

    @operation(
        "experiment_guardrail_backtest",
        tag=TAG,
        summary="Try guardrails out on the past of an experiment's page",
        answer=BacktestSerializer,
        body=BacktestRequestSerializer,
        refusals=[404, 409],
        description=DESCRIPTION,
    )
    def post(self, request: Request, slug: str) -> Response:
        """Return what they would have paused, false pauses, and suggestions."""
        backtest = service_of(request).backtest_guardrails(slug, **asked_of(request))
        return Response(BacktestSerializer(summary(backtest)).data)


class BundleGuardrailBacktestView(ApiView):
    """Guardrails on the past of one bundle, whether or not it ever stood in an experiment."""

    scopes = {"POST": READ}

    @operation(
        "bundle_guardrail_backtest",
        tag=TAG,
        summary="Try guardrails out on the past of a bundle",
        answer=BacktestSerializer,
        body=BacktestRequestSerializer,
        refusals=[404],
        description=DESCRIPTION,
    )
    def post(self, request: Request, reference: str) -> Response:
        """Return what they would have paused, false pauses, and suggestions."""
        bundle = find_bundle(reference)
        backtest = service_of(request).backtest_bundle_guardrails(bundle.bundle_slug, **asked_of(request))
        return Response(BacktestSerializer(summary(backtest)).data)
