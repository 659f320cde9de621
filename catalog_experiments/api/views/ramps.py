"""Move a ramp by hand: take the next step now, or climb no further."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from catalog_experiments.api.conditional import expected_version
from catalog_experiments.api.presentation import changed
from catalog_experiments.api.schema import IF_MATCH, operation
from catalog_experiments.api.serializers.experiments import ExperimentSerializer
from catalog_experiments.api.serializers.verbs import ReasonSerializer
from catalog_experiments.api.views.base import OPERATE, ApiView, read_body
from catalog_experiments.api.views.experiments import service_of

TAG = "lifecycle"
REFUSALS = (404, 409, 412, 428)


class ExperimentRampAdvanceView(ApiView):
    """Take the next step of a ramp."""

    scopes = {"POST": OPERATE}

    @operation(
        "experiment_ramp_advance",
        tag=TAG,
        summary="Take the ramp's next step now, whatever it waits for",
        answer=ExperimentSerializer,
        body=ReasonSerializer,
        refusals=REFUSALS,
        parameters=[IF_MATCH],
        description="Raises the coverage in the open phase: nobody changes variant. A ramp that was stopped or rolled "
        "back climbs on by itself afterwards.",
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Advance and answer with the experiment."""
        asked = read_body(request, ReasonSerializer)
        version = expected_version(request)
        return changed(service_of(request).advance_ramp(slug, now=timezone.now(), expected_version=version, **asked))


class ExperimentRampStopView(ApiView):
    """Let a ramp climb no further."""

    scopes = {"POST": OPERATE}

    @operation(
        "experiment_ramp_stop",
        tag=TAG,
        summary="Stop the ramp where it stands; needs a reason",
        answer=ExperimentSerializer,
        body=ReasonSerializer,
        refusals=REFUSALS,
        parameters=[IF_MATCH],
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Stop the ramp and answer with the experiment, whose coverage stays."""
        asked = {"reason": "", **read_body(request, ReasonSerializer)}
        version = expected_version(request)
        return changed(service_of(request).stop_ramp(slug, now=timezone.now(), expected_version=version, **asked))
