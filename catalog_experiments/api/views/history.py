"""What happened to an experiment: its stored metric rows and its events, newest first, in pages."""

from __future__ import annotations

import datetime as dt
from operator import attrgetter

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from catalog_experiments.api.conditional import readable
from catalog_experiments.api.query import BEFORE, CURSOR, LIMIT, page_of, parse_id, read_id, read_limit, refuse
from catalog_experiments.api.schema import IF_NONE_MATCH, operation
from catalog_experiments.api.serializers.results import EventSerializer, MetricHistorySerializer
from catalog_experiments.api.views.base import READ, ApiView
from catalog_experiments.api.views.experiments import service_of
from catalog_experiments.models import ExperimentEvent, VariantMetric

TAG = "history"


class ExperimentMetricsView(ApiView):
    """Every stored metric row of an experiment, all phases."""

    scopes = {"GET": READ}
    query_parameters = {"GET": frozenset({"limit", "before"})}

    @operation(
        "experiment_metrics",
        tag=TAG,
        summary="Read the history of the metric rows, newest day first",
        answer=MetricHistorySerializer(many=True),
        refusals=[404],
        parameters=[LIMIT, BEFORE, IF_NONE_MATCH],
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Return a bare array of at most `limit` rows."""
        limit, experiment = read_limit(request), service_of(request).get(slug)
        rows = VariantMetric.objects.filter(experiment=experiment).select_related("variant", "phase")
        found = _before_day(request, rows).order_by("-window_start", "-id")[: limit + 1]
        page, link = page_of(request, list(found), limit=limit, cursor=lambda row: f"{row.window_start}.{row.pk}")
        return readable(request, MetricHistorySerializer(page, many=True).data, link=link)


class ExperimentEventsView(ApiView):
    """Who did what to an experiment, and why."""

    scopes = {"GET": READ}
    query_parameters = {"GET": frozenset({"limit", "before"})}

    @operation(
        "experiment_events",
        tag=TAG,
        summary="Read the events, newest first",
        answer=EventSerializer(many=True),
        refusals=[404],
        parameters=[LIMIT, BEFORE, IF_NONE_MATCH],
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Return a bare array of at most `limit` events."""
        limit, experiment = read_limit(request), service_of(request).get(slug)
        events = ExperimentEvent.objects.filter(experiment=experiment)
        if before := read_id(request, "before"):
            events = events.filter(pk__lt=before)
        found = events.order_by("-id")[: limit + 1]  # ids grow with time
        page, link = page_of(request, list(found), limit=limit, cursor=attrgetter("pk"))
        return readable(request, EventSerializer(page, many=True).data, link=link)


def _before_day(request: Request, rows: QuerySet[VariantMetric]) -> QuerySet[VariantMetric]:
    cursor = request.query_params.get("before")
    if cursor is None:
        return rows
    day_text, _, id_text = cursor.partition(".")
    try:
        day = dt.date.fromisoformat(day_text)
    except ValueError:
        refuse("before", CURSOR)
    return rows.filter(Q(window_start__lt=day) | Q(window_start=day, pk__lt=parse_id("before", id_text)))
