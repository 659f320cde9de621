"""Fields that take the JSON type they name and nothing that merely looks like it."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from django.core.validators import RegexValidator
from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from catalog_experiments.models.fields import PATH_SAFE_SLUG

SLUG_PATTERN = re.compile(PATH_SAFE_SLUG.regex)


class TextField(serializers.CharField):
    """Text as sent: no number or boolean becomes text, nothing is trimmed."""

    default_error_messages = {"invalid": "Send text."}

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the text; anything else is invalid."""
        if not isinstance(data, str):
            self.fail("invalid")
        if not self.allow_blank and not data.strip():
            self.fail("blank")
        return data


class SlugField(TextField):
    """A slug that can stand in an address."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.validators.append(PATH_SAFE_SLUG)


class CurrencyField(TextField):
    """A currency of ISO 4217: three capital letters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.validators.append(RegexValidator(r"^[A-Z]{3}\Z", "Send three capital letters, such as EUR."))


class WholeNumberField(serializers.IntegerField):
    """A JSON whole number: not text, not a boolean, not 5.0."""

    default_error_messages = {"invalid": "Send a whole number, without quotes."}

    def to_internal_value(self, data: Any) -> int:
        """Return the number; anything else is invalid."""
        if type(data) is not int:
            self.fail("invalid")
        return data


class NumberField(serializers.FloatField):
    """A finite JSON number: not text, not a boolean."""

    default_error_messages = {"invalid": "Send a number, without quotes."}

    def to_internal_value(self, data: Any) -> float:
        """Return the number; anything else is invalid."""
        if type(data) not in (int, float) or not math.isfinite(data):
            self.fail("invalid")
        return float(data)


class FlagField(serializers.BooleanField):
    """true or false, and no other spelling."""

    default_error_messages = {"invalid": "Send true or false."}

    def to_internal_value(self, data: Any) -> bool:
        """Return the flag; anything else is invalid."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class ObjectField(serializers.DictField):
    """A JSON object with any content."""

    default_error_messages = {"not_a_dict": "Send a JSON object."}


class ChoiceField(serializers.ChoiceField):
    """One of a few words, spelled exactly."""

    default_error_messages = {"invalid_choice": "Use one of: {words}."}

    def to_internal_value(self, data: Any) -> str:
        """Return the word; anything that is not text, or no choice, is invalid."""
        if data == "" and self.allow_blank:
            return ""
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", words=", ".join(self.choices))
        return data


class InstantField(serializers.DateTimeField):
    """A moment in ISO 8601 with its offset, kept in UTC."""

    default_error_messages = {"invalid": "Send a time in ISO 8601 with its offset, like 2026-03-02T12:00:00Z."}

    def to_internal_value(self, value: Any) -> datetime:
        """Return the moment in UTC; text without offset is invalid, because it would be guessed."""
        moment = read_instant(value)
        if moment is None:
            self.fail("invalid", format="ISO 8601")
        return moment


def read_instant(value: object) -> datetime | None:
    """Return the moment that ISO 8601 text with an offset names, in UTC; None for anything else."""
    if not isinstance(value, str) or not value.isascii():
        return None
    try:
        moment = parse_datetime(value)
        return moment.astimezone(UTC) if moment is not None and moment.utcoffset() is not None else None
    except (ValueError, OverflowError):
        return None


class StrictSerializer(serializers.Serializer[Any]):
    """A body in which each name must be known: a misspelled field is an error, not silence."""

    def to_internal_value(self, data: Any) -> Any:
        """Check the names, then each field.

        Raises:
            ValidationError: unknown names, and whatever the fields refuse.
        """
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if not unknown:
            return super().to_internal_value(data)
        known = ", ".join(self.fields)
        errors: dict[str, Any] = {
            str(name)[:100]: [serializers.ErrorDetail(f"There is no such field; known: {known}.", "unknown_field")]
            for name in unknown[:20]
        }
        try:
            super().to_internal_value(data)
        except serializers.ValidationError as invalid:
            errors |= invalid.detail if isinstance(invalid.detail, dict) else {}
        raise serializers.ValidationError(errors)
