"""Move experiments: publish, pause, resume, complete, conclude, clone; each view is one verb."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import reverse
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
from catalog_experiments.api.serializers.verbs import (
    CloneSerializer,
    CompleteSerializer,
    ConclusionSerializer,
    PauseSerializer,
    ReasonSerializer,
)
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


class ExperimentConcludeView(ApiView):
    """Fill in what a completed experiment came to."""

    scopes = {"POST": OPERATE}

    @operation(
        "experiment_conclude",
        tag=TAG,
        summary="State the conclusion of a completed experiment",
        answer=ExperimentSerializer,
        body=ConclusionSerializer,
        refusals=REFUSALS,
        parameters=[IF_MATCH],
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Store the conclusion and answer with the experiment."""
        asked = read_body(request, ConclusionSerializer)
        experiment = service_of(request).conclude(
            slug, now=timezone.now(), expected_version=expected_version(request), **asked
        )
        return changed(experiment)


class ExperimentCloneView(ApiView):
    """Begin again: a new draft like this experiment."""

    scopes = {"POST": OPERATE}

    @operation(
        "experiment_clone",
        tag=TAG,
        summary="Clone into a new draft",
        answer=ExperimentSerializer,
        status=201,
        body=CloneSerializer,
        refusals=(404, 409),
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Store the draft and answer with it."""
        asked = read_body(request, CloneSerializer)
        clone = service_of(request).clone(slug, new_slug=asked["slug"], name=asked["name"], now=timezone.now())
        response = changed(clone, status=201)
        response.headers["Location"] = reverse("experiment-detail", args=[clone.slug])
        return response
