"""The shape of every refusal, for the API description."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class FieldProblemSerializer(serializers.Serializer[Any]):
    """One field that is wrong."""

    field = serializers.CharField(help_text="Path, like variants[0].key.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457: what was refused, why, and what to do."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="Stable, for programs.")
    errors = FieldProblemSerializer(many=True, required=False)  # type: ignore[assignment]  # a name of DRF's own
    request_id = serializers.CharField(required=False)
