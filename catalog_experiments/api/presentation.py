"""Experiments as the API shows them: with the newest metric rows, and with the tag that a change must name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from catalog_experiments.analysis import latest_metrics
from catalog_experiments.api.conditional import entity_tag, readable
from catalog_experiments.api.renderers import CompactJSONRenderer
from catalog_experiments.api.serializers.experiments import ExperimentSerializer
from catalog_experiments.models import Experiment


def present(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Return the experiments as JSON values, in their order; the metric rows of all are read at once."""
    context = {"metrics": latest_metrics(experiments)}
    return [dict(ExperimentSerializer(experiment, context=context).data) for experiment in experiments]


def shown(request: Request, experiment: Experiment) -> HttpResponse:
    """Answer a read of one experiment, 304 when the caller holds it."""
    return readable(request, present([experiment])[0], lock_version=experiment.lock_version)


def changed(experiment: Experiment, *, status: int = 200, **members: Any) -> HttpResponse:
    """Answer a change with the experiment as it is now; the tag is that of a read, `members` are added to the body."""
    data = present([experiment])[0]
    render = CompactJSONRenderer().render
    response = HttpResponse(render({**data, **members}), status=status, content_type="application/json")
    response.headers["ETag"] = entity_tag(render(data), lock_version=experiment.lock_version)
    response.headers["Cache-Control"] = "no-store"
    return response
