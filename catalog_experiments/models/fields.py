"""Field shapes that many tables share: the time-ordered key and the path-safe slug."""

import uuid

from django.core.validators import RegexValidator
from django.db import models
from uuid_utils.compat import uuid7

PATH_SAFE_SLUG = RegexValidator(
    r"^[a-z0-9]+(?:[-_][a-z0-9]+)*\Z",
    message="Use lower-case letters, digits, - and _ only, so that the slug can stand in an address.",
    code="slug_not_path_safe",
)


def time_ordered_id() -> uuid.UUID:
    """Return a UUIDv7: unique, and growing with time so that indexes stay dense."""
    return uuid7()


def time_ordered_key() -> "models.UUIDField[uuid.UUID, uuid.UUID]":
    """Build the primary key column used by every table of ours."""
    return models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
