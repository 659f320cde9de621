"""The test database as another process reaches it."""

from __future__ import annotations

from django.db import connection


def url_of_test_database() -> str:
    """Return its address: a socket folder, then the name."""
    found = connection.settings_dict
    return f"postgres://{found['USER']}@/{found['HOST']}/{found['NAME']}"
