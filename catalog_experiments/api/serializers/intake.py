"""Batches of events: read item by item with plain functions, because one bad item must never sink the others.

The serializers here describe the same bodies for the API description; a test holds both to one set of examples.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers

from catalog_experiments.api.serializers.fields import (
    ChoiceField,
    CurrencyField,
    FlagField,
    InstantField,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from catalog_experiments.api.serializers.foreign_exposures import GrowthBookViewSerializer, SegmentViewSerializer
from catalog_experiments.models import ExcludedTraffic, OrderStatus

MAX_BATCH = 1_000
MAX_UNIT_ID = 255
MAX_WHOLE = 10**12
OUTCOMES = ("accepted", "duplicate", "conflict", "revised", "rejected")


def traffic_field() -> ChoiceField:
    """Build the field by which a sender marks what is kept and never counted."""
    return ChoiceField(
        choices=ExcludedTraffic.choices, allow_null=True, required=False, help_text="Kept, and left out of every count."
    )


def user_agent_field() -> TextField:
    """Build the field that gives bots away."""
    return TextField(
        max_length=1_000,
        allow_blank=True,
        allow_null=True,
        required=False,
        help_text="The visitor's browser: bots are kept and never counted. Not stored.",
    )


class ExposureSerializer(StrictSerializer):
    """A visitor reached the offer slot and was served `variant_key`."""

    experiment = TextField(max_length=150)
    unit_id = TextField(max_length=MAX_UNIT_ID, help_text="As it was bucketed; stored only as a keyed digest.")
    variant_key = TextField(max_length=100)
    exposed_at = InstantField(allow_null=True, required=False, help_text="Now, when absent.")
    phase = WholeNumberField(min_value=1, max_value=32_767, allow_null=True, required=False)
    segments = serializers.DictField(child=TextField(max_length=100, allow_blank=True), allow_null=True, required=False)
    is_holdout = FlagField(required=False, help_text="The decision held the visitor out, who saw the control.")
    traffic = traffic_field()
    user_agent = user_agent_field()


class OrderLineSerializer(StrictSerializer):
    """So many of one product, at a price per piece in minor units."""

    slug = TextField(max_length=150)
    quantity = WholeNumberField(min_value=1, max_value=MAX_WHOLE)
    price_minor = WholeNumberField(min_value=0, max_value=MAX_WHOLE)
    cost_minor = WholeNumberField(min_value=0, max_value=MAX_WHOLE, allow_null=True, required=False)
    returned = WholeNumberField(min_value=0, max_value=MAX_WHOLE, required=False, help_text="Pieces that came back.")


class OfferComponentSerializer(StrictSerializer):
    """One product of a bundle as it was offered."""

    slug = TextField(max_length=150)
    quantity = WholeNumberField(min_value=1, max_value=MAX_WHOLE, required=False)


class OfferSerializer(StrictSerializer):
    """The offer an order was made through, as it stood in the basket."""

    experiment = TextField(max_length=150)
    variant = TextField(max_length=100)
    bundle = TextField(max_length=150)
    document_version = WholeNumberField(min_value=0, max_value=MAX_WHOLE)
    valid_until = InstantField(allow_null=True, required=False)
    components = serializers.ListField(child=OfferComponentSerializer(), max_length=100, required=False)


class OrderSerializer(StrictSerializer):
    """One checkout order; a later event of the same `order_ref` with another status or refund revises it."""

    order_ref = TextField(max_length=150)
    placed_at = InstantField()
    currency = CurrencyField()
    lines = serializers.ListField(child=OrderLineSerializer(), max_length=5_000)
    unit_id = TextField(max_length=MAX_UNIT_ID, allow_null=True, required=False)
    status = ChoiceField(choices=OrderStatus.choices, required=False)
    accepted_bundles = serializers.ListField(
        child=TextField(max_length=150), max_length=100, allow_null=True, required=False
    )
    offers = serializers.ListField(child=OfferSerializer(), max_length=200, required=False)
    source = TextField(max_length=32, required=False)  # type: ignore[assignment]  # a name of DRF's own
    cancelled_at = InstantField(allow_null=True, required=False)
    refunded_minor = WholeNumberField(min_value=0, max_value=MAX_WHOLE, required=False)
    traffic = traffic_field()
    user_agent = user_agent_field()
    payment = TextField(
        max_length=150, allow_blank=True, allow_null=True, required=False, help_text="A test payment marks a test."
    )


class ExposureBatchSerializer(serializers.Serializer[Any]):
    """Up to 1,000 exposures, each in a form of its own."""

    exposures = serializers.ListField(
        child=PolymorphicProxySerializer(
            component_name="ExposureItem",
            serializers=[ExposureSerializer, SegmentViewSerializer, GrowthBookViewSerializer],
            resource_type_field_name=None,
        ),
        max_length=MAX_BATCH,
    )


class SegmentBatchSerializer(serializers.Serializer[Any]):
    """Segment's own batch; events that are no exposures are answered as rejected."""

    batch = serializers.ListField(child=SegmentViewSerializer(), max_length=MAX_BATCH)


EXPOSURE_BODIES = PolymorphicProxySerializer(
    component_name="ExposureBody",
    serializers=[ExposureBatchSerializer, SegmentBatchSerializer, SegmentViewSerializer, GrowthBookViewSerializer],
    resource_type_field_name=None,
)


class AliasSerializer(StrictSerializer):
    """The shop saw that a customer is the person it knew as a visitor: at login, or at checkout."""

    visitor_id = TextField(max_length=MAX_UNIT_ID, help_text="The unit id of before.")
    customer_id = TextField(max_length=MAX_UNIT_ID, help_text="The customer's id; both are stored as digests only.")


class AliasBatchSerializer(serializers.Serializer[Any]):
    """Up to 1,000 aliases."""

    aliases = serializers.ListField(child=AliasSerializer(), max_length=MAX_BATCH)


class OrderBatchSerializer(serializers.Serializer[Any]):
    """Up to 1,000 orders."""

    orders = serializers.ListField(child=OrderSerializer(), max_length=MAX_BATCH)


class ItemResultSerializer(serializers.Serializer[Any]):
    """What became of one item."""

    index = serializers.IntegerField(help_text="Its place in the batch, from 0.")
    outcome = serializers.ChoiceField(choices=OUTCOMES)
    code = serializers.CharField(help_text="Why, for programs; empty when accepted.")
    detail = serializers.CharField(help_text="Why, for people.")


class BatchCountsSerializer(serializers.Serializer[Any]):
    """How many items met which outcome."""

    accepted = serializers.IntegerField()
    duplicate = serializers.IntegerField()
    conflict = serializers.IntegerField()
    revised = serializers.IntegerField()
    rejected = serializers.IntegerField()


class BatchResultSerializer(serializers.Serializer[Any]):
    """One result per item, in order; sent after all of it is committed."""

    results = ItemResultSerializer(many=True)
    counts = BatchCountsSerializer()
