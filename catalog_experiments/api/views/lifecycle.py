"""Move experiments: publish, pause, resume, complete; each view is one verb."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from catalog_experiments.api.conditional import expected_version
from catalog_experiments.api.presentation import changed
from catalog_experiments.api.schema import IF_MATCH, operation
from catalog_experiments.api.serializers.experiments import (
    CheckSerializer,
    ExperimentSerializer,
    PublishedExperimentSerializer,
)
from catalog_experiments.api.serializers.verbs import CompleteSerializer, PauseSerializer, ReasonSerializer
from catalog_experiments.api.views.base import OPERATE, ApiView, read_body
from catalog_experiments.api.views.experiments import service_of

TAG = "lifecycle"
REFUSALS = (404, 409, 412, 428)


class ExperimentPublishView(ApiView):
    """Serve the variants to visitors, or publish changed overrides."""

    scopes = {"POST": OPERATE}

    @operation(
        "experiment_publish",
        tag=TAG,
        summary="Publish, or publish changed overrides",
        answer=PublishedExperimentSerializer,
        body=ReasonSerializer,
        refusals=REFUSALS,
        parameters=[IF_MATCH],
        description="Runs the preflight first: a failure is a 409 that names it, warnings come back with the answer. "
        "On a running experiment unchanged overrides change nothing; changed ones open a new phase.",
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Publish and answer with the experiment and the preflight's warnings."""
        reason = read_body(request, ReasonSerializer)
        service, now = service_of(request), timezone.now()
        experiment = service.publish(slug, now=now, expected_version=expected_version(request), **reason)
        warnings = [check for check in service.preflight(slug, now=now) if check.outcome == "warn"]
        return changed(experiment, warnings=CheckSerializer(warnings, many=True).data)


class ExperimentPauseView(ApiView):
    """Serve everybody the control."""

    scopes = {"POST": OPERATE}

    @operation(
        "experiment_pause",
        tag=TAG,
        summary="Pause: everybody sees the control",
        answer=ExperimentSerializer,
        body=PauseSerializer,
        refusals=REFUSALS,
        parameters=[IF_MATCH],
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Pause and answer with the experiment."""
        asked = {"reason": "", **read_body(request, PauseSerializer)}
        experiment = service_of(request).pause(
            slug, now=timezone.now(), expected_version=expected_version(request), **asked
        )
        return changed(experiment)


class ExperimentResumeView(ApiView):
    """Serve the variants again."""

    scopes = {"POST": OPERATE}

    @operation(
        "experiment_resume",
        tag=TAG,
        summary="Resume; after a guardrail pause with a reason, in a new phase",
        answer=ExperimentSerializer,
        body=ReasonSerializer,
        refusals=REFUSALS,
        parameters=[IF_MATCH],
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Resume and answer with the experiment."""
        asked = {"reason": "", **read_body(request, ReasonSerializer)}
        experiment = service_of(request).resume(
            slug, now=timezone.now(), expected_version=expected_version(request), **asked
        )
        return changed(experiment)


class ExperimentCompleteView(ApiView):
    """End the experiment for good."""

    scopes = {"POST": OPERATE}

    @operation(
        "experiment_complete",
        tag=TAG,
        summary="Complete, for good: the final report is frozen",
        answer=ExperimentSerializer,
        body=CompleteSerializer,
        refusals=REFUSALS,
        parameters=[IF_MATCH],
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Complete and answer with the experiment."""
        asked = read_body(request, CompleteSerializer)
        experiment = service_of(request).complete(
            slug, now=timezone.now(), expected_version=expected_version(request), **asked
        )
        return changed(experiment)
