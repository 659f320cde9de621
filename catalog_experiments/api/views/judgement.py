"""Judge experiments: the launch checklist, the guardrails, the report."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from catalog_experiments.access import Scope
from catalog_experiments.analysis import analyze
from catalog_experiments.api.conditional import readable
from catalog_experiments.api.query import read_flag
from catalog_experiments.api.schema import IF_NONE_MATCH, operation
from catalog_experiments.api.serializers.experiments import CheckSerializer
from catalog_experiments.api.serializers.results import EvaluationSerializer, ReportSerializer
from catalog_experiments.api.views.base import READ, ApiView, require_scope
from catalog_experiments.api.views.experiments import service_of

TAG = "judgement"
ENFORCE = OpenApiParameter(
    "enforce", bool, description="Act on the verdict: record it, and pause and alert when breached. Needs operate."
)


class ExperimentPreflightView(ApiView):
    """The launch checklist of an experiment as it would be published now."""

    scopes = {"GET": READ, "POST": READ}

    @operation(
        "experiment_preflight",
        tag=TAG,
        summary="Run the launch checklist",
        answer=CheckSerializer(many=True),
        refusals=[404],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Return every check: passed, warned or failed, with the remedy."""
        checks = service_of(request).preflight(slug, now=timezone.now())
        return Response(CheckSerializer(checks, many=True).data)

    @operation(
        "experiment_preflight_run",
        tag=TAG,
        summary="Run the launch checklist (the same by POST)",
        answer=CheckSerializer(many=True),
        refusals=[404],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Return the same as a GET; nothing is stored either way."""
        answer: Response = self.get(request, slug)
        return answer


class ExperimentEvaluateView(ApiView):
    """What the guardrails say of an experiment now."""

    scopes = {"POST": READ}
    query_parameters = {"POST": frozenset({"enforce"})}

    @operation(
        "experiment_evaluate",
        tag=TAG,
        summary="Evaluate the guardrails; stores nothing and never pauses, unless enforced",
        answer=EvaluationSerializer,
        refusals=[404],
        parameters=[ENFORCE],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Return one entry per variant, breached or not."""
        is_enforced = read_flag(request, "enforce")
        if is_enforced:
            require_scope(request, Scope.OPERATE)
        report = service_of(request).evaluate(slug, now=timezone.now(), enforce=is_enforced)
        return Response(EvaluationSerializer(report).data)


class ExperimentReportView(ApiView):
    """What an experiment has shown so far."""

    scopes = {"GET": READ}

    @operation(
        "experiment_report",
        tag=TAG,
        summary="Read the report of the present phase",
        answer=ReportSerializer,
        refusals=[404],
        parameters=[IF_NONE_MATCH],
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Return acceptance, metrics per visitor and the sample ratio, each with its uncertainty."""
        experiment = service_of(request).get(slug)
        return readable(request, ReportSerializer(analyze(experiment, now=timezone.now())).data)
