# ruff: noqa: N815 - the names are those of the tools that send them
"""Exposures as other tools send them, for the API's description; `intake.shapes` reads them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class SegmentPropertiesSerializer(serializers.Serializer[Any]):
    """The experiment's slug and the variant's key, each by id or by name."""

    experiment_id = serializers.CharField(required=False)
    experiment_name = serializers.CharField(required=False)
    variation_id = serializers.CharField(required=False)
    variation_name = serializers.CharField(required=False)


class SegmentViewSerializer(serializers.Serializer[Any]):
    """Segment's event; its other members are let by."""

    type = serializers.ChoiceField(choices=["track"])
    event = serializers.ChoiceField(choices=["Experiment Viewed"])
    messageId = serializers.CharField(required=False, help_text="A repeated event is a duplicate without it, too.")
    anonymousId = serializers.CharField(required=False, help_text="Counts where visitors are randomized.")
    userId = serializers.CharField(required=False, help_text="Counts where customers are, or without anonymousId.")
    timestamp = serializers.DateTimeField(required=False)
    sentAt = serializers.DateTimeField(required=False, help_text="Stands in for an absent timestamp.")
    properties = SegmentPropertiesSerializer()


class GrowthBookExperimentSerializer(serializers.Serializer[Any]):
    """What counts of the callback's first argument."""

    key = serializers.CharField(help_text="The experiment's slug.")
    phase = serializers.CharField(required=False)


class GrowthBookResultSerializer(serializers.Serializer[Any]):
    """What counts of the callback's second argument."""

    key = serializers.CharField(required=False, help_text="The variant's key.")
    variationId = serializers.IntegerField(required=False, help_text="Its position, where there is no key.")
    hashAttribute = serializers.ChoiceField(choices=["id"], required=False)
    hashValue = serializers.CharField(help_text="The visitor.")
    inExperiment = serializers.BooleanField(required=False)


class GrowthBookViewSerializer(serializers.Serializer[Any]):
    """Both arguments of a GrowthBook tracking callback; their other members are let by."""

    experiment = GrowthBookExperimentSerializer()
    result = GrowthBookResultSerializer()
    timestamp = serializers.DateTimeField(required=False)
