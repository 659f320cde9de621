"""Define experiments: list, create, read, edit, delete a draft."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog_experiments.api.conditional import expected_version, readable
from catalog_experiments.api.presentation import changed, present, shown
from catalog_experiments.api.query import BEFORE, CURSOR, LIMIT, page_of, read_limit, refuse
from catalog_experiments.api.schema import IF_MATCH, IF_NONE_MATCH, operation
from catalog_experiments.api.serializers.experiments import (
    ExperimentCreateSerializer,
    ExperimentSerializer,
    ExperimentUpdateSerializer,
)
from catalog_experiments.api.serializers.fields import SLUG_PATTERN
from catalog_experiments.api.views.base import OPERATE, READ, ApiView, caller_of, read_body
from catalog_experiments.drafting.specification import ExperimentChanges, ExperimentSpec, VariantSpec
from catalog_experiments.locking import ExperimentNotFound
from catalog_experiments.models import Experiment
from catalog_experiments.service import CatalogExperimentService

TAG = "experiments"


def service_of(request: Request) -> CatalogExperimentService:
    """Return the service acting for whoever calls."""
    return CatalogExperimentService(actor=caller_of(request).actor)


def with_variants(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with their variants as the domain's values."""
    if "variants" not in fields:
        return fields
    return {**fields, "variants": tuple(VariantSpec(**variant) for variant in fields["variants"])}


def _found(request: Request, limit: int) -> Sequence[Experiment]:
    before = request.query_params.get("before")
    if before is not None and not SLUG_PATTERN.match(before):
        refuse("before", CURSOR)
    try:
        return service_of(request).list(limit=limit, before=before)
    except ExperimentNotFound:  # the last one of the page before was a draft, and is deleted
        refuse("before", f"{CURSOR} whose experiment still exists; begin again without it")


class ExperimentListView(ApiView):
    """All experiments, newest first, and the door for new ones."""

    scopes = {"GET": READ, "POST": OPERATE}
    query_parameters = {"GET": frozenset({"limit", "before"})}

    @operation(
        "experiment_list",
        tag=TAG,
        summary="List experiments, newest first",
        answer=ExperimentSerializer(many=True),
        parameters=[LIMIT, BEFORE, IF_NONE_MATCH],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return a bare array of at most `limit`; the Link header leads to older ones."""
        limit = read_limit(request)
        page, link = page_of(request, _found(request, limit + 1), limit=limit, cursor=attrgetter("slug"))
        return readable(request, present(page), link=link)

    @operation(
        "experiment_create",
        tag=TAG,
        summary="Create a draft",
        answer=ExperimentSerializer,
        status=201,
        body=ExperimentCreateSerializer,
        refusals=[409],
    )
    def post(self, request: Request) -> HttpResponse:
        """Store a draft; nothing is served before it is published."""
        spec = ExperimentSpec(**with_variants(read_body(request, ExperimentCreateSerializer)))
        experiment = service_of(request).create(spec, now=timezone.now())
        response = changed(experiment, status=201)
        response.headers["Location"] = reverse("experiment-detail", args=[experiment.slug])
        return response


class ExperimentDetailView(ApiView):
    """One experiment."""

    scopes = {"GET": READ, "PUT": OPERATE, "DELETE": OPERATE}

    @operation(
        "experiment_detail",
        tag=TAG,
        summary="Read an experiment",
        answer=ExperimentSerializer,
        refusals=[404],
        parameters=[IF_NONE_MATCH],
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Return the experiment with the newest metric row of each variant."""
        return shown(request, service_of(request).get(slug))

    @operation(
        "experiment_update",
        tag=TAG,
        summary="Edit an experiment",
        answer=ExperimentSerializer,
        body=ExperimentUpdateSerializer,
        refusals=[404, 409, 412, 428],
        parameters=[IF_MATCH],
        description="Absent fields keep their values. Edits of a published experiment's treatment wait for its next "
        "publish. `status` asks for the verb that leads there: running publishes or resumes, paused pauses, completed "
        "completes; the present status changes nothing.",
    )
    def put(self, request: Request, slug: str) -> HttpResponse:
        """Change what the body names."""
        changes = ExperimentChanges(**with_variants(read_body(request, ExperimentUpdateSerializer)))
        experiment = service_of(request).update(
            slug, changes, now=timezone.now(), expected_version=expected_version(request)
        )
        return changed(experiment)

    @operation(
        "experiment_delete",
        tag=TAG,
        summary="Delete a draft",
        answer=None,
        status=204,
        refusals=[404, 409, 412, 428],
        parameters=[IF_MATCH],
    )
    def delete(self, request: Request, slug: str) -> Response:
        """Delete a draft; what was ever published stays."""
        service_of(request).delete(slug, now=timezone.now(), expected_version=expected_version(request))
        return Response(status=204)
