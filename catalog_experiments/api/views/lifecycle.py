"""Move experiments and their ramps, clone them: each view is one verb."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from catalog_experiments.api.conditional import expected_version
from catalog_experiments.api.presentation import changed
from catalog_experiments.api.schema import IF_MATCH, operation
from catalog_experiments.api.serializers.experiments import (
    CheckSerializer,
    ConcludedExperimentSerializer,
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
from catalog_experiments.lifecycle import conclusion_warnings
from catalog_experiments.models import Experiment

MOVES = (404, 409, 412, 428)
"""How a move may be refused, beside what refuses every operation."""

_SECOND_LOOK = "Nothing is refused, but what deserves a second look comes back as warnings: won, and nothing ships."

_verb = partial(operation, tag="lifecycle", answer=ExperimentSerializer, refusals=MOVES, parameters=[IF_MATCH])


class VerbView(ApiView):
    """One verb of one experiment, which the answer shows as it is afterwards."""

    scopes = {"POST": OPERATE}


class ExperimentPublishView(VerbView):
    """Serve the variants to visitors, or publish changed overrides."""

    @_verb(
        "experiment_publish",
        summary="Publish, or publish changed overrides",
        answer=PublishedExperimentSerializer,
        body=ReasonSerializer,
        description="Runs the preflight first: a failure is a 409 that names it, warnings come back with the answer. "
        "On a running experiment unchanged overrides change nothing; changed ones open a new phase.",
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Publish and answer with the experiment and the preflight's warnings."""
        service, asked = service_of(request), _asked(request, ReasonSerializer)
        experiment = service.publish(slug, **asked)
        warnings = [check for check in service.preflight(slug, now=asked["now"]) if check.outcome == "warn"]
        return changed(experiment, warnings=CheckSerializer(warnings, many=True).data)


class ExperimentPauseView(VerbView):
    """Serve everybody the control."""

    @_verb("experiment_pause", summary="Pause: everybody sees the control", body=PauseSerializer)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Pause and answer with the experiment."""
        return changed(service_of(request).pause(slug, **_asked(request, PauseSerializer, reason="")))


class ExperimentResumeView(VerbView):
    """Serve the variants again."""

    @_verb(
        "experiment_resume",
        summary="Resume; after a guardrail pause with a reason, in a new phase",
        body=ReasonSerializer,
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Resume and answer with the experiment."""
        return changed(service_of(request).resume(slug, **_asked(request, ReasonSerializer, reason="")))


class ExperimentCompleteView(VerbView):
    """End the experiment for good."""

    @_verb(
        "experiment_complete",
        summary="Complete, for good: the final report is frozen",
        answer=ConcludedExperimentSerializer,
        body=CompleteSerializer,
        description=_SECOND_LOOK,
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Complete and answer with the experiment and the warnings of its conclusion."""
        return _concluded(service_of(request).complete(slug, **_asked(request, CompleteSerializer)))


class ExperimentConcludeView(VerbView):
    """Fill in what a completed experiment came to."""

    @_verb(
        "experiment_conclude",
        summary="State the conclusion of a completed experiment",
        answer=ConcludedExperimentSerializer,
        body=ConclusionSerializer,
        description=_SECOND_LOOK,
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Store the conclusion and answer with the experiment and the warnings of it."""
        return _concluded(service_of(request).conclude(slug, **_asked(request, ConclusionSerializer)))


class ExperimentRampAdvanceView(VerbView):
    """Take the next step of a ramp."""

    @_verb(
        "experiment_ramp_advance",
        summary="Take the ramp's next step now, whatever it waits for",
        body=ReasonSerializer,
        description="Raises the coverage in the open phase: nobody changes variant. A ramp that was stopped or rolled "
        "back climbs on by itself afterwards.",
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Advance and answer with the experiment."""
        return changed(service_of(request).advance_ramp(slug, **_asked(request, ReasonSerializer)))


class ExperimentRampStopView(VerbView):
    """Let a ramp climb no further."""

    @_verb("experiment_ramp_stop", summary="Stop the ramp where it stands; needs a reason", body=ReasonSerializer)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Stop the ramp and answer with the experiment, whose coverage stays."""
        return changed(service_of(request).stop_ramp(slug, **_asked(request, ReasonSerializer, reason="")))


class ExperimentCloneView(VerbView):
    """Begin again: a new draft like this experiment."""

    @_verb(
        "experiment_clone",
        summary="Clone into a new draft",
        status=201,
        body=CloneSerializer,
        refusals=(404, 409),
        parameters=(),
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Store the draft and answer with it."""
        asked = read_body(request, CloneSerializer)
        clone = service_of(request).clone(slug, new_slug=asked["slug"], name=asked["name"], now=timezone.now())
        response = changed(clone, status=201)
        response.headers["Location"] = reverse("experiment-detail", args=[clone.slug])
        return response


def _concluded(experiment: Experiment) -> HttpResponse:
    winner_key = experiment.winner.key if experiment.winner else None
    warnings = conclusion_warnings(experiment.slug, experiment.conclusion, winner_key)
    return changed(experiment, warnings=CheckSerializer(warnings, many=True).data)


def _asked(request: Request, serializer: type[Serializer[Any]], **unsaid: str) -> dict[str, Any]:
    """Return what a verb is called with: the clock, If-Match, and the body over what it leaves `unsaid`."""
    body = read_body(request, serializer)
    return {"now": timezone.now(), "expected_version": expected_version(request), **unsaid, **body}
