"""Take in events: exposures and orders by the batch, answered item by item after commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog_experiments.access import Scope
from catalog_experiments.api.batches import Batch, exposure_list, read_alias, read_batch, read_exposure, read_order
from catalog_experiments.api.parsers import IntakeJSONParser
from catalog_experiments.api.schema import operation
from catalog_experiments.api.serializers.intake import (
    EXPOSURE_BODIES,
    AliasBatchSerializer,
    BatchResultSerializer,
    OrderBatchSerializer,
)
from catalog_experiments.api.views.base import ApiView
from catalog_experiments.intake import ItemResult, note_answers, record_aliases, record_exposures, record_orders
from catalog_experiments.models import IntakeKind

TAG = "intake"
DESCRIPTION = (
    "Safe to send again: a repeated event is a duplicate, never counted twice. One bad item never sinks the others. "
    "At most 1,000 items and 1 MB."
)
SHAPES = (
    'Each item comes in our own form, as a Segment event "Experiment Viewed", or as the `experiment` and `result` that '
    "a GrowthBook SDK hands to its tracking callback. A single event of those tools, and Segment's `batch`, are bodies "
    "of their own. All end in one row per unit and phase, so that a repeated `messageId` is a duplicate."
)


class ExposureIntakeView(ApiView):
    """Visitors reached an offer slot; the one write that a public client key may make."""

    scopes = {"POST": frozenset({Scope.INGEST, Scope.EVALUATE})}
    parser_classes = [IntakeJSONParser]
    throttle_classes = []  # every page of the shop sends with one key: counted by each process, on the fast path

    @operation(
        "exposure_record",
        tag=TAG,
        summary="Record exposures",
        answer=BatchResultSerializer,
        body=EXPOSURE_BODIES,
        description=f"{DESCRIPTION} {SHAPES}",
    )
    def post(self, request: Request) -> Response:
        """Record the batch and say what became of each item."""
        batch, now = read_batch(exposure_list(request.data), "exposures", read_exposure), timezone.now()
        return _answered(IntakeKind.EXPOSURES, batch, record_exposures(batch.events, now=now), now)


class AliasIntakeView(ApiView):
    """Customers turned out to be visitors; only a shop's server may say so."""

    scopes = {"POST": frozenset({Scope.INGEST})}
    parser_classes = [IntakeJSONParser]

    @operation(
        "alias_record",
        tag=TAG,
        summary="Record which visitors are one customer",
        answer=BatchResultSerializer,
        body=AliasBatchSerializer,
        description="A customer counts once in each open phase, from the earliest exposure; who met two variants "
        "counts in none. A visitor id that is another customer's already is a conflict, and the first is kept. "
        f"{DESCRIPTION}",
    )
    def post(self, request: Request) -> Response:
        """Record the batch and say what became of each item."""
        batch, now = read_batch(request.data, "aliases", read_alias), timezone.now()
        return _answered(IntakeKind.ALIASES, batch, record_aliases(batch.events, now=now), now)


class OrderIntakeView(ApiView):
    """Orders were placed, confirmed, cancelled or refunded."""

    scopes = {"POST": frozenset({Scope.INGEST})}
    parser_classes = [IntakeJSONParser]

    @operation(
        "order_record",
        tag=TAG,
        summary="Record orders and their revisions",
        answer=BatchResultSerializer,
        body=OrderBatchSerializer,
        description=DESCRIPTION,
    )
    def post(self, request: Request) -> Response:
        """Record the batch and say what became of each item."""
        batch, now = read_batch(request.data, "orders", read_order), timezone.now()
        return _answered(IntakeKind.ORDERS, batch, record_orders(batch.events, now=now), now)


def _answered(kind: IntakeKind, batch: Batch[Any], results: Sequence[ItemResult], now: datetime) -> Response:
    note_answers(kind, batch.refused, now=now)  # the domain has counted those that it could read
    return Response(batch.answer(results))
