"""The engine `smplat.embedded`: Django's own PostgreSQL backend, with the server started at the first connection."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper

from smplat.embedded.cluster import Cluster


class DatabaseWrapper(PostgresWrapper):
    """Make sure the cluster named by the setting `EMBEDDED` runs, then connect as usual."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return psycopg's parameters once the server answers.

        Raises:
            EmbeddedPostgresError: When the server cannot be started; its message says why.
        """
        Cluster(**self.settings_dict["EMBEDDED"]).ensure_running()
        params: dict[str, Any] = super().get_connection_params()
        return params
