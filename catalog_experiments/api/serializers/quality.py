"""How far telemetry can be trusted: units by what became of them, joins, and gaps."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class UnitCountsSerializer(serializers.Serializer[Any]):
    """Units of one variant: `met` is the count before anything was left out, `exposed` the one that counts."""

    met = serializers.IntegerField()
    exposed = serializers.IntegerField()
    mixed = serializers.IntegerField(help_text="Seen with two variants; left out.")
    faulty = serializers.IntegerField(help_text="Claimed another variant than the computed one; left out.")
    merged = serializers.IntegerField(help_text="Joined to an earlier unit of the same person; left out.")
    held_out = serializers.IntegerField()
    excluded = serializers.IntegerField(help_text="Bots, staff and tests; left out by rule.")
    bots = serializers.IntegerField()
    staff = serializers.IntegerField()
    tests = serializers.IntegerField()
    cut = serializers.IntegerField(help_text="Exposed, but their window met a pause or an end.")
    revised = serializers.IntegerField(help_text="Exposed, with a counted order that was changed afterwards.")


class GapSerializer(serializers.Serializer[Any]):
    """A stretch in which the data could not be trusted."""

    cause = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True, help_text="Null while it lasts.")


class DataQualitySerializer(serializers.Serializer[Any]):
    """Telemetry of the present phase; `joined_orders` of `orders` are those of the last 24 hours."""

    joined_orders = serializers.IntegerField(help_text="Orders of the anchor product by a unit that met the phase.")
    orders = serializers.IntegerField()
    usual_join_rate = serializers.FloatField(allow_null=True)
    last_exposure_at = serializers.DateTimeField(allow_null=True)
    foreign_orders = serializers.IntegerField(help_text="In another currency: in no money metric.")
    excluded_orders = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()), help_text="By variant and reason."
    )
    gaps = GapSerializer(many=True)
